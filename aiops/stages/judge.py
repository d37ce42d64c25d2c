"""Whether what a report shows fulfils a condition of another task: by rule, from the report and the series it rests on. Pure.

`worse` and `better` compare how far each service has moved from its own baseline, in the direction that is bad for the metric;
`higher` and `lower` compare the values themselves. What can't be told is None, never a guess.
"""

from __future__ import annotations

import re

import numpy as np

from aiops.domain import Condition, Panel, Report, Task, Verdict
from aiops.kernels.kinds import Kind, kind_of
from aiops.stages.courses import Course, asked_rows, bare, courses

# Of these, less is worse; of everything else (latency, errors, load, lag) more is.
_GOOD_WHEN_HIGH = re.compile(
    r"(?i)hit_?r|avail|success|qps|rps|tps|throughput|requests?_?(?:rate|per|total|count)|^requests?$|free|uptime|healthy|ready|^up$"
)


def judge(condition: Condition, report: Report, panel: Panel) -> tuple[bool | None, str]:
    """(whether it holds, or None where that can't be told; why)."""
    if condition.holds in {"abnormal", "normal"}:
        return _abnormal(condition, report)
    if condition.holds == "found":
        return report.verdict is Verdict.FOUND, f"the verdict of {condition.task} is {report.verdict}"
    if condition.holds == "full":
        return _full(condition, report)
    return _compared(condition, report, panel)


def _abnormal(condition: Condition, report: Report) -> tuple[bool, str]:
    inputs = report.task.inputs
    nodes = {condition.service} if condition.service else set(inputs.services)
    metrics = set(inputs.metrics)
    outside = [f for f in report.figures if f.abnormal]
    left = sorted(
        {
            f"{a.node} {a.metric}"
            for a in (outside if report.figures else report.anomalies)
            if a.node in nodes and (not metrics or bare(a.metric) in metrics)
        }
    )
    said = (
        f"{', '.join(left)} left the band" if left else f"nothing asked about {', '.join(sorted(nodes))} left its band"
    )
    return bool(left) is (condition.holds == "abnormal"), said


def _full(condition: Condition, report: Report) -> tuple[bool | None, str]:
    mine = [f for f in report.forecasts if not condition.service or f.node == condition.service]
    if not mine:
        return None, "nothing was forecast"
    crossed = [f"{f.node} {f.metric}" for f in mine if f.crossing is not None and f.crossing.expected is not None]
    return bool(
        crossed
    ), f"{', '.join(sorted(crossed))} is full within the horizon" if crossed else "nothing is full within the horizon"


def _compared(condition: Condition, report: Report, panel: Panel) -> tuple[bool | None, str]:
    inputs = report.task.inputs
    if not inputs.metrics:
        return None, "no metric was asked about that could be compared"
    metric = inputs.metrics[0]
    moved = condition.holds in {"worse", "better"}
    measure = _moves if moved else _levels
    values = {
        service: value
        for service in inputs.services
        if (value := measure(panel, report.task, service, metric)) is not None
    }
    missing = sorted(set(inputs.services) - set(values))
    if missing or not values:
        return None, f"{metric} of {', '.join(missing or inputs.services)} can't be compared: no samples"
    told = ", ".join(f"{s} {v:+.1%}" if moved else f"{s} {v:.6g}" for s, v in values.items())
    said = f"{metric}{' against its baseline' if moved else ''}: {told}"
    sign = -1.0 if condition.holds == "lower" else 1.0
    if moved and _good_when_high(metric) is (condition.holds == "worse"):
        sign = -1.0
    return _ahead(condition.service, {s: sign * v for s, v in values.items()}, moved=moved), said


def _good_when_high(metric: str) -> bool:
    return (
        bool(_GOOD_WHEN_HIGH.search(metric)) and kind_of(metric) is not Kind.ERRORS
    )  # of requests that failed, less is better


def _ahead(service: str, values: dict[str, float], *, moved: bool) -> bool | None:
    """Whether the service's value exceeds that of every other; alone, whether it has moved at all; of any, whether they differ."""
    if not service:
        return max(values.values()) > min(values.values()) if len(values) > 1 else next(iter(values.values())) > 0
    others = [value for name, value in values.items() if name != service]
    if not others:
        return values[service] > 0 if moved else None
    return values[service] > max(others)


def _moves(panel: Panel, task: Task, service: str, metric: str) -> float | None:
    """The change over the asked time against the baseline, as a share of it."""
    course = _course(panel, service, metric)
    now = course.level(asked_rows(panel, task)) if course else None
    before = course.level(~asked_rows(panel, task)) if course else None
    if now is None or before is None:
        return None
    return (now - before) / abs(before) if before else float(np.sign(now - before))


def _levels(panel: Panel, task: Task, service: str, metric: str) -> float | None:
    course = _course(panel, service, metric)
    return course.level(asked_rows(panel, task)) if course else None


def _course(panel: Panel, service: str, metric: str) -> Course | None:
    return next(iter(courses(panel, (service,), (metric,))), None)
