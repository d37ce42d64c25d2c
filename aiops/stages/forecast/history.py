"""What a forecast rests on: Task -> Scope and Observation, the only part that reads.

The step is a round one, such that the horizon has at most `MOST_AHEAD` of them, and the history is long enough to hold several
horizons and seasons. A recording gives what it has, at its own step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from aiops.domain import (
    NS,
    FloatArray,
    Gap,
    Inputs,
    IntArray,
    Labels,
    Logs,
    Observation,
    Panel,
    Query,
    Samples,
    Scope,
    Spans,
    Symptom,
    Task,
    TimeRange,
    from_ns,
    quote,
    series_key,
    to_ns,
)
from aiops.errors import NotFound, SourceRefused, UsageError
from aiops.ports import MetricsSource
from aiops.rules import Entities
from aiops.schema import selector
from aiops.stages.rates import with_rates
from aiops.telemetry import stage

HORIZON = timedelta(hours=6)  # where nobody says one
LOOK_BACK = timedelta(days=14)  # at least; Prometheus keeps 15 days unless told otherwise
HORIZONS_BACK = 8
MOST_AHEAD = 72  # steps
MOST_SAMPLES = 5000  # of each series
MOST_SERIES = 20
LEAST_STEP_S = 60  # between scrapes there is nothing new
STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which time is read, at which step."""

    window: TimeRange
    step: timedelta


@stage("observe")
def look_back(task: Task, metrics: MetricsSource, entities: Entities, timeout: float) -> tuple[Scope, Observation]:
    """The history of the series that `task` is about.

    Raises UsageError for a query that the source refuses, NotFound when it matches nothing, SourceError as the source."""
    inputs = task.inputs
    fixed = metrics.window()
    now = _now(inputs, fixed)
    wanted, queries = _queries(inputs, entities)
    try:
        plan = _plan(inputs, now, None) if fixed is None else _recorded(inputs, now, fixed, queries, metrics, timeout)
        read = [metrics.samples(query.text, plan.window, timeout, plan.step) for query in queries]
    except SourceRefused as error:
        raise UsageError(str(error)) from error
    panel = _panel(read, plan)
    if not inputs.query or selector.parse(inputs.query) is not None:  # what an expression made is taken as it is
        panel = with_rates(panel)
    nodes = [entities.node("series", labels) for labels in panel.labels]
    rows = [k for k, node in enumerate(nodes) if not wanted or node in wanted]
    gaps = [gap for samples in read for gap in samples.gaps]
    if not rows:
        named = " of ".join(", ".join(names) for names in (inputs.metrics, inputs.services) if names)
        raise NotFound(f"no sample of {inputs.query or named} between {_span(plan.window)}")
    if len(rows) > MOST_SERIES:
        gaps.append(
            Gap(
                f"{len(rows) - MOST_SERIES} of {len(rows)} series",
                f"the first {MOST_SERIES} by name are forecast",
                "ask for fewer: name more labels, or aggregate with sum by (...)",
            )
        )
    kept = rows[:MOST_SERIES]
    panel = Panel(
        tuple(panel.labels[k] for k in kept),
        panel.times,
        panel.values[kept],
        tuple(nodes[k] for k in kept),
        panel.incident,
    )
    symptom = inputs.symptom or Symptom()
    scope = Scope(
        at=now,
        baseline=TimeRange(plan.window.start, now),
        incident=TimeRange(now, now),
        symptom_node=symptom.service or (inputs.services[0] if inputs.services else None) or _only(panel.nodes),
        symptom_metric=symptom.metric or (inputs.metrics[0] if inputs.metrics else None) or _only(panel.metrics),
        queries=queries,
    )
    return scope, Observation(panel, Logs.empty(), Spans.empty(), gaps=tuple(gaps))


def _now(inputs: Inputs, fixed: TimeRange | None) -> datetime:
    """The origin: the end of the window that is asked about, when the question was asked, or where a recording ends."""
    asked = inputs.window.end if inputs.window else inputs.symptom.at if inputs.symptom else None
    if asked is not None:
        return asked
    if fixed is None:
        raise UsageError("a time is needed: from when is the forecast to be made?")
    return fixed.end


def _plan(inputs: Inputs, now: datetime, native_s: int | None) -> Plan:
    """Window and step; `native_s` is the step of a recording."""
    horizon = inputs.horizon or HORIZON
    back = now - inputs.window.start if inputs.window else max(LOOK_BACK, HORIZONS_BACK * horizon)
    if back <= timedelta(0):
        raise UsageError("the history is empty: it ends before it begins")
    least = max(native_s or LEAST_STEP_S, horizon.total_seconds() / MOST_AHEAD)
    if inputs.window:  # who asks for a long history gets it, on a coarser grid
        least = max(least, min(back.total_seconds() / MOST_SAMPLES, horizon.total_seconds() / 6))
    step_s = native_s if native_s and native_s >= least else next((s for s in STEPS_S if s >= least), STEPS_S[-1])
    samples = min(int(back.total_seconds() // step_s) + 1, MOST_SAMPLES)
    last = to_ns(now) // NS // step_s * step_s
    start, end = from_ns((last - (samples - 1) * step_s) * NS), from_ns((last + 1) * NS)
    return Plan(TimeRange(start, end), timedelta(seconds=step_s))


def _recorded(
    inputs: Inputs, now: datetime, fixed: TimeRange, queries: Sequence[Query], metrics: MetricsSource, timeout: float
) -> Plan:
    """As `_plan`, at the recording's own step where that is not too fine."""
    steps = [
        int(np.median(np.diff(raw.times[a:b])))
        for query in queries
        for raw in [metrics.samples(query.text, fixed, timeout)]
        for a, b in zip(raw.starts[:-1], raw.starts[1:], strict=True)
        if b - a > 2
    ]
    return _plan(inputs, now, max(1, round(float(np.median(steps)) / NS)) if steps else None)


# ---------------------------------------------------------------- what to ask for


def _queries(inputs: Inputs, entities: Entities) -> tuple[frozenset[str], tuple[Query, ...]]:
    """(nodes that are wanted, () for all; selectors). Names only ever enter a query as quoted literals."""
    if inputs.query:
        return frozenset(), (Query(inputs.query),)
    nodes = sorted({entities.aliases.get(name, name) for name in inputs.services})
    if not nodes and not inputs.metrics:
        raise UsageError("what is to be forecast? Name a query, a service or a metric")
    names = _either(inputs.metrics)
    metric = [f"__name__=~{quote(names)}"] if names else []
    if not nodes:
        return frozenset(), (Query(f"{{{metric[0]}}}"),)
    known = _either([*(a for a, node in entities.aliases.items() if node in nodes), *nodes])
    tails = dict.fromkeys(entities.strip, "([-:].*)?")
    return frozenset(nodes), tuple(
        Query("{" + ",".join([*metric, f"{label}=~{quote(f'({known}){tails.get(label, str())}')}"]) + "}")
        for label in entities.labels["series"]
    )


def _either(names: Iterable[str]) -> str:
    return "|".join(sorted({re.escape(name).replace("\\-", "-") for name in names}))


# ---------------------------------------------------------------- on one grid


def _panel(read: Sequence[Samples], plan: Plan) -> Panel:
    """Series of all reads on the plan's grid, each once, by `series_key`; without the steps before the first sample."""
    step = round(plan.step.total_seconds()) * NS
    last = (to_ns(plan.window.end) - 1) // step
    first = min((int(r.times.min()) // step for r in read if len(r.times)), default=last)
    found: dict[str, tuple[Labels, FloatArray]] = {}
    for samples in read:
        for k in range(len(samples)):
            labels = dict(samples.labels[k])
            own = slice(int(samples.starts[k]), int(samples.starts[k + 1]))
            found.setdefault(
                series_key(labels), (labels, _row(samples.times[own], samples.values[own], step, first, last))
            )
    keys = [key for key in sorted(found) if np.isfinite(found[key][1]).any()]
    times = np.arange(first, last + 1, dtype=np.int64) * step
    values = np.array([found[key][1] for key in keys]).reshape(len(keys), len(times))
    return Panel(tuple(found[key][0] for key in keys), times, values, ("",) * len(keys), np.zeros(len(times), np.bool_))


def _row(times: IntArray, values: FloatArray, step: int, first: int, last: int) -> FloatArray:
    """The last finite sample of each step; infinities say nothing of where it goes."""
    row = np.full(last - first + 1, np.nan)
    place = times // step - first
    fine = np.isfinite(values) & (place >= 0) & (place < len(row))
    row[place[fine]] = values[fine]
    return row


def _only(names: Sequence[str]) -> str | None:
    """The name, if there is just one."""
    return names[0] if len(set(names)) == 1 and names[0] else None


def _span(window: TimeRange) -> str:
    return f"{window.start:%Y-%m-%d %H:%M}Z and {window.end:%Y-%m-%d %H:%M}Z"
