"""How figures are said: a value with its unit, what it was before, by how much it departed, over which time."""

from __future__ import annotations

from datetime import datetime

from aiops.domain import Direction, Figure, TimeRange, from_ns
from aiops.stages.answer.asked import Asked
from aiops.stages.courses import asked_rows, bare
from aiops.units import between, figure, quantity

AS_BEFORE = 0.02  # of the baseline: a smaller change is none
SEVERAL = 2.0  # times the baseline; above, a factor is clearer than a percentage


def said(value: float | None, metric: str) -> str:
    """A value with its unit."""
    return quantity(value, metric) if value is not None else "no data"


def spread_of(f: Figure) -> str:
    """From the least to the most."""
    if f.least is None or f.most is None:
        return "no data"
    low, high = said(f.least, f.metric), said(f.most, f.metric)
    return low if low == high else between(f.least, f.most, f.metric)


def range_of(f: Figure) -> str:
    """The range before; nothing that is counted or measured in these is ever below zero."""
    assert f.band is not None
    low, high = f.band
    low = max(low, 0.0) if f.least is not None and f.least >= 0 and (f.baseline or 0.0) >= 0 else low
    return between(low, high, f.metric)


def number_of(f: Figure, asked: Asked) -> float:
    """The number that is told: the last sample, over a named time the mean; NaN where there is none."""
    value = f.last if asked.task.inputs.window is None else f.mean
    return value if value is not None else float("nan")


def value_of(f: Figure, asked: Asked) -> str:
    """Now, where no time was named; else the mean over it, and from where to where it went."""
    spread = f", {spread_of(f)}" if asked.task.inputs.window is not None and f.most != f.least else ""
    return f"{brief_value(f, asked)}{spread}"


def brief_value(f: Figure, asked: Asked) -> str:
    """The one number."""
    if asked.task.inputs.window is None:
        return f"{said(f.last, f.metric)} now"
    return f"{said(f.mean, f.metric)} on average"


def against(f: Figure) -> str:
    """What follows a value: how it was before."""
    if f.baseline is None:
        return ", with no samples before"
    shift = f.change
    if shift is None:
        return ", as before (0)" if not f.last else ", 0 before"
    if abs(shift) < AS_BEFORE:
        return f", as before ({said(f.baseline, f.metric)})"
    return f", {factor(shift)} against {said(f.baseline, f.metric)} before"


def briefly(f: Figure) -> str:
    """The same in a list, in brackets."""
    shift = f.change
    if shift is None:
        return ""
    return " (as before)" if abs(shift) < AS_BEFORE else f" ({factor(shift)})"


def factor(change: float) -> str:
    """+20%, −33%, 3.2 times."""
    if change + 1 >= SEVERAL:
        return f"{figure(change + 1)} times"
    return f"{'+' if change > 0 else '−'}{figure(abs(100 * change))}%"


def span_of(asked: Asked) -> str:
    """The asked time: as it was named, else as far as there are samples."""
    window = asked.task.inputs.window
    times = asked.panel.times[asked_rows(asked.panel, asked.task)]
    if window is None and len(times):
        window = TimeRange(from_ns(int(times.min())), from_ns(int(times.max())))
    if window is None:
        return "at the asked time"
    ends = clock(window.end) if window.end.date() == window.start.date() else _stamp(window.end)
    return f"from {_stamp(window.start)} to {ends}"


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def clock(moment: datetime | None) -> str:
    """Time of day in UTC; "" for none."""
    return f"{moment:%H:%M:%S}Z" if moment else ""


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def departed(f: Figure, asked: Asked, *, alone: bool = False) -> str:
    """On which side of its range a figure is or was, since when, and by how much."""
    side = "above" if f.direction is Direction.UP else "below"
    name = bare(f.metric) if alone else f"{bare(f.metric)} of {f.node}"
    since = f" since {clock(f.since)}" if f.since else ""
    if f.band is not None and f.last is not None and f.band[0] <= f.last <= f.band[1]:
        up = f.direction is Direction.UP
        furthest = f"{'up' if up else 'down'} to {said(f.most if up else f.least, f.metric)}"
        return f"{name} was {side} its range of {range_of(f)}{since}, {furthest}; {said(f.last, f.metric)} now"
    return f"{name} is {side} its range of {range_of(f)}{since}: {value_of(f, asked)}{_times(f)}"


def _times(f: Figure) -> str:
    """By how much."""
    shift = f.change
    return f" ({factor(shift)})" if shift is not None and abs(shift) >= AS_BEFORE else ""
