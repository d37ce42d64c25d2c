"""What was asked, in numbers: for each metric and node what it was over the asked time, against what it was before. Pure.

A series is abnormal where most of the asked time lies outside its range before (three robust sigmas, as in `detect`), or where
its last samples all do: what began a moment ago is outside now, though most of the time is not.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aiops.domain import BoolArray, Direction, Figure, FloatArray, IntArray, Panel, Task, from_ns
from aiops.kernels.kinds import kind_of
from aiops.kernels.robust import first_run, location_scale, standard_scores
from aiops.stages.courses import Course, asked_rows, bare, courses, steps_s
from aiops.stages.detect.series import floors, typical
from aiops.stages.detect.window import runs_on

SIGMAS = 3.0  # the edge of the range, as in `detect`
PERSISTENT = 2  # samples in a row outside make an onset, as there
LASTING = 3  # samples in a row, up to the last, that make a departure which began just now
FEW = 6  # series; among more, some last samples lie outside by chance,
SURELY = 2  # so that they must lie so many times as far out
LEAST_BASELINE = 5  # samples; fewer are no range
FROM_NOTHING = 0.05  # of the largest value: the least that counts as a move where the baseline never moved at all
_LIMIT = re.compile(r"(?P<metric>.+?)(?P<sign>[<>])(?P<value>-?[0-9.]+)")
_SHARES = re.compile(r"(?i)ratio|usage|util|rate|percent|pct|saturation|cpu|mem|disk|availab|success")


@dataclass(frozen=True, slots=True)
class Limit:
    """A numeric filter. `value` in the metric's own unit; `said` as it was written; `note` where the two differ."""

    metric: str
    sign: str
    value: float
    said: str
    note: str = ""

    @property
    def holds(self) -> Callable[[float, float], bool]:
        return operator.gt if self.sign == ">" else operator.lt


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with the course it is of, and its band's scale: what a chart needs."""

    figure: Figure
    course: Course


def measured(panel: Panel, task: Task) -> tuple[Measured, ...]:
    """A figure for each asked metric of each asked node, in the order spoken, without what has no series at all.

    Where no node was asked about: of all, those first that fulfil the filters, then by their value in the task's order. Where no metric was: all of
    them, the most abnormal first."""
    inputs = task.inputs
    named = asked_metrics(task)
    found = courses(panel, inputs.services, named)
    bounds = limits(task, found)
    told = [Measured(f, c) for c, f in zip(found, _figures(panel, found, bounds, task), strict=True)]
    if not named:
        told.sort(key=lambda m: (_place(inputs.services, m.figure.node), -m.figure.score, _neutral(m.figure)))
    elif not inputs.services:
        told.sort(key=lambda m: (named.index(m.course.asked), m.figure.fulfils is False, _size(m, bounds, task)))
    return tuple(told)


def figures(panel: Panel, task: Task) -> tuple[Figure, ...]:
    """The figures alone."""
    return tuple(one.figure for one in measured(panel, task))


def asked_metrics(task: Task) -> tuple[str, ...]:
    """Metrics that were named, be it in a filter."""
    filtered = [limit["metric"] for text in task.inputs.filters if (limit := _LIMIT.fullmatch(text))]
    return tuple(dict.fromkeys([*task.inputs.metrics, *filtered]))


def limits(task: Task, found: Sequence[Course]) -> tuple[Limit, ...]:
    """The numeric filters. "90" of what is told as a share of one is read as 0.9, and says so."""
    out = []
    for text in task.inputs.filters:
        if parts := _LIMIT.fullmatch(text):
            metric, value = parts["metric"], float(parts["value"])
            note = ""
            if value > 1 and _SHARES.search(metric) and _is_share(metric, found):
                note = f"{metric} is told as a share of 1, so {value:g} is read as {value:g}%"
                value /= 100
            out.append(Limit(metric, parts["sign"], value, f"{metric} {parts['sign']} {parts['value']}", note))
    return tuple(out)


def _is_share(metric: str, found: Sequence[Course]) -> bool:
    """Whether all that is known of it lies between 0 and 1, and not only at their ends."""
    values = [c.values[np.isfinite(c.values)] for c in found if c.asked == metric and not c.counter]
    seen = np.concatenate(values) if values else np.empty(0)
    return bool(len(seen)) and float(seen.min()) >= 0 and float(seen.max()) <= 1 and bool((seen % 1 > 0).any())


def _place(services: Sequence[str], node: str) -> int:
    return services.index(node) if node in services else len(services)


def _size(one: Measured, bounds: Sequence[Limit], task: Task) -> tuple[float, str]:
    """By the number that is told, largest first; where small values were asked for, smallest."""
    value = one.figure.last if task.inputs.window is None else one.figure.mean
    small = task.inputs.order == "lowest" or any(b.metric == one.course.asked and b.sign == "<" for b in bounds)
    sign = 1 if small else -1
    return (sign * value if value is not None else np.inf), _neutral(one.figure)


def _neutral(figure: Figure) -> str:
    return hashlib.sha256(f"{figure.node}\n{figure.metric}".encode()).hexdigest()


# ---------------------------------------------------------------- one by one


def _figures(panel: Panel, found: Sequence[Course], bounds: Sequence[Limit], task: Task) -> list[Figure]:
    if not found:
        return []
    now = asked_rows(panel, task)
    together = Panel(
        tuple({"__name__": c.metric} for c in found),
        panel.times,
        np.array([c.values for c in found]),
        tuple(c.node for c in found),
        now,
    )
    location, scale = _ranges(together)
    return [
        _figure(together, course, row, float(location[row]), float(scale[row]), _mine(bounds, course), task)
        for row, course in enumerate(found)
    ]


def _mine(bounds: Sequence[Limit], course: Course) -> list[Limit]:
    return [limit for limit in bounds if limit.metric == course.asked]


def _ranges(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(S,) centre and sigma of the baseline, NaN where it has too few samples."""
    before = panel.values[:, ~panel.incident]
    location, scale = location_scale(before)
    kinds = tuple(kind_of(bare(metric)) for metric in panel.metrics)
    scale = np.fmax(scale, floors(kinds, panel, location, scale))
    largest = np.nanmax(np.abs(panel.values), axis=1, initial=0.0)
    scale = np.where(scale > 0, scale, FROM_NOTHING * largest)
    few = np.isfinite(before).sum(axis=1) < LEAST_BASELINE
    return np.where(few, np.nan, location), np.where(few, np.nan, scale)


def _figure(
    panel: Panel, course: Course, row: int, location: float, scale: float, bounds: Sequence[Limit], task: Task
) -> Figure:
    now, values = panel.incident, panel.values[row]
    rows = np.flatnonzero(now & np.isfinite(values))
    figure = Figure(
        course.node,
        course.metric,
        course.series,
        course.how,
        len(rows),
        baseline=course.level(~now),
        band=(location - SIGMAS * scale, location + SIGMAS * scale) if np.isfinite(location) else None,
        fulfils=False if bounds else None,
    )
    if not len(rows):
        return figure
    seen = values[rows]
    mean = course.level(now)
    facts: dict[str, object] = {
        "last": float(seen[-1]),
        "mean": mean,
        "least": float(seen.min()),
        "most": float(seen.max()),
        "most_at": from_ns(int(panel.times[rows[int(seen.argmax())]])),
        "total": float((seen * steps_s(panel.times)[rows]).sum()) if course.counter else None,
        "change": _change(float(seen[-1]) if task.inputs.window is None else mean, figure.baseline),
        "fulfils": all(_holds(limit, seen, task) for limit in bounds) if bounds else None,
    }
    if figure.band is not None and scale > 0:
        facts |= _verdict(panel, values, rows, location, scale, SIGMAS * (1 if len(panel.nodes) <= FEW else SURELY))
    elif figure.band is not None:
        facts |= {"abnormal": False}  # it never moved, neither before nor now
    return replace(figure, **facts)  # type: ignore[arg-type]  # the names are written above


def _change(now: float | None, before: float | None) -> float | None:
    return (now - before) / abs(before) if now is not None and before else None


def _holds(limit: Limit, seen: FloatArray, task: Task) -> bool:
    """Now; where a time was named, at any moment of it."""
    if task.inputs.window is None:
        return limit.holds(float(seen[-1]), limit.value)
    return any(limit.holds(float(value), limit.value) for value in seen)


def _verdict(
    panel: Panel, values: FloatArray, rows: IntArray, location: float, scale: float, edge: float
) -> dict[str, object]:
    """Whether the samples of `rows` left the range, and since when. `edge`: how far out the last ones must be by themselves."""
    known = np.flatnonzero(np.isfinite(values))
    z = standard_scores(values[None, known], np.array([location]), np.array([scale]))[0]
    mine = z[np.isin(known, rows)]
    most, latest = float(typical(mine[None])[0]), mine[-LASTING:]
    lasts = len(mine) >= LASTING and (bool((latest > edge).all()) or bool((latest < -edge).all()))
    facts: dict[str, object] = {"abnormal": abs(most) >= SIGMAS or lasts}
    side = np.sign(latest[-1] if lasts else most)
    facts["score"] = max(abs(most), float(np.abs(latest).min()) if lasts else 0.0) / SIGMAS
    if facts["abnormal"]:
        facts["direction"] = Direction.UP if side > 0 else Direction.DOWN
        begin = _began(z * side > SIGMAS, len(z) - len(mine), back=runs_on(panel.times))
        facts["since"] = from_ns(int(panel.times[known[begin]]))
    return facts


def _began(out: BoolArray, first: int, *, back: bool) -> int:
    """Where the departure began that the asked samples (from `first` on) show. Where it was under way already, back from
    there over samples outside, of which one in between may lie inside."""
    begin = first + max(0, int(first_run(out[None, first:], PERSISTENT)[0]))
    while back and begin <= first + 1 and begin > 1 and (out[begin - 1] or out[begin - 2]):
        begin -= 1 if out[begin - 1] else 2
        first = begin
    return begin
