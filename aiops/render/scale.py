"""From times and values to places on paper: axes with honest ticks, also where a recording has holes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from aiops.domain import NS, from_ns

# A jump of this many usual steps, or backwards, is another stretch of time: the axis breaks there.
_BREAK = 30
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_YEAR_S = 31_557_600


def from_s(seconds: int) -> datetime:
    """Aware UTC datetime of a chart's time."""
    return from_ns(seconds * NS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples `first:last` that follow each other closely, drawn between `left` and `right`."""

    first: int
    last: int
    start: int
    end: int
    left: float
    right: float

    def place(self, time: int) -> float:
        if self.end == self.start:
            return (self.left + self.right) / 2
        return self.left + (self.right - self.left) * (time - self.start) / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Time from left to right in one or more stretches: a baseline may have been recorded on another day."""

    stretches: tuple[Stretch, ...]

    def place(self, time: int) -> float | None:
        """Where a moment lies; None when no stretch holds it. A moment between two samples belongs to their stretch."""
        holding = [s for s in self.stretches if s.start <= time <= s.end]
        if holding:
            return holding[-1].place(time)
        # A mark may lie a step or so beyond the samples, as an alert that fired after the last scrape does.
        for stretch in reversed(self.stretches):
            step = (stretch.end - stretch.start) // max(stretch.last - stretch.first - 1, 1) or 60
            if stretch.start - 2 * step <= time <= stretch.end + 2 * step:
                return min(max(stretch.place(time), stretch.left), stretch.right)
        return None


def time_axis(times: Sequence[int], left: float, right: float, gap: float) -> TimeAxis:
    """Stretches of `times` (epoch seconds), `gap` apart; wide by the root of their sample counts, so that none vanishes."""
    steps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    usual = steps[len(steps) // 2] if steps else 0
    breaks = [i + 1 for i, (a, b) in enumerate(itertools.pairwise(times)) if b <= a or b - a > _BREAK * usual]
    bounds = list(itertools.pairwise([0, *breaks, len(times)])) if times else []
    weights = [math.sqrt(last - first) for first, last in bounds]
    weights = [max(w, 0.35 * sum(weights)) for w in weights] if len(bounds) == 2 else weights
    room = right - left - gap * (len(bounds) - 1)
    stretches, x = [], left
    for (first, last), weight in zip(bounds, weights, strict=True):
        wide = room * weight / sum(weights)
        stretches.append(Stretch(first, last, times[first], times[last - 1], x, x + wide))
        x += wide + gap
    return TimeAxis(tuple(stretches))


def time_ticks(stretch: Stretch, most: int, tz: tzinfo) -> list[tuple[int, str]]:
    """At most about `most` round local times inside a stretch, with their words."""
    span = max(stretch.end - stretch.start, 1)
    step = next((s for s in _STEPS_S if span / s <= most), _YEAR_S)
    first = from_s(stretch.start).astimezone(tz)
    # Ticks are round in local time: half-hour zones exist.
    shift = int((first.utcoffset() or timedelta()).total_seconds())
    begin = math.ceil((stretch.start + shift) / step) * step - shift
    ticks = range(begin, stretch.end + 1, step)
    return [(s, _tick_word(from_s(s).astimezone(tz), step)) for s in ticks]


def _tick_word(local: datetime, step: int) -> str:
    if step >= 86400:
        return f"{local:%b} {local.day}"
    return f"{local:%H:%M:%S}" if step < 60 else f"{local:%H:%M}"


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """Values from `bottom` to `top` in paper coordinates, which grow downwards; what lies outside is drawn at the edge."""

    low: float
    high: float
    bottom: float
    top: float

    def place(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.bottom - (self.bottom - self.top) * (inside - self.low) / (self.high - self.low)

    def ticks(self, factor: float = 1.0, most: int = 4) -> list[float]:
        """Values inside the axis that are round (1, 2 or 5 times a power of ten) once multiplied by `factor`."""
        raw = (self.high - self.low) * factor / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
        first = math.ceil(self.low * factor / step - 1e-9)
        last = math.floor(self.high * factor / step + 1e-9)
        return [i * step / factor for i in range(first, last + 1)]


def value_axis(values: Sequence[float], band: Sequence[float], bottom: float, top: float) -> ValueAxis:
    """An axis for what was measured, and for the band as far as it does not flatten the measured.

    Starts at zero where the values are near it anyway; never goes below zero where nothing does.
    """
    known = [v for v in values if math.isfinite(v)]
    if not known:
        known = [v for v in band if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    reach = max(high - low, 0.05 * max(abs(low), abs(high)), 1e-12)
    near = [v for v in band if math.isfinite(v) and low - reach <= v <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    pad = 0.08 * max(high - low, reach)
    floor = 0.0 if min(known) >= 0 and low - pad < 0.35 * high else low - pad
    return ValueAxis(floor, high + pad, bottom, top)
