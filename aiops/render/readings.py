"""A chart in figures: what one reads off it at a moment, for a table beside it and for who points at it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from aiops.domain import Chart
from aiops.render.language import say
from aiops.render.samples import Samples, extreme, onset, plot
from aiops.render.scale import from_s
from aiops.render.values import between, quantity
from aiops.units import moments, zone

_MOST = 60


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample in words, "" where nothing is known, and where it is drawn."""

    x: float
    y: float
    when: str
    measured: str
    expected: str  # the middle, where the chart has one
    band: str
    outside: bool

    def words(self) -> list[str]:
        """For a line of its own."""
        told = say("expected {band}", band=self.band) if self.band else ""
        return list(filter(None, (self.measured, told)))


def readings(chart: Chart, tz: tzinfo) -> tuple[Reading, ...]:
    """At most some sixty samples, evenly spread, and the one farthest outside, in their order. O(points)."""
    drawn, across, up = plot(chart)
    picked = _picked(chart, drawn)
    times = [from_s(drawn.times[i]) for i in picked]
    places = {i: s.place(drawn.times[i]) for s in across.stretches for i in range(s.first, s.last)}
    return tuple(
        Reading(
            places[i],
            up.place(_height(drawn, i)),
            when,
            _quantity(drawn.values[i], chart.metric),
            _quantity(drawn.mean[i], chart.metric),
            between(drawn.lower[i], drawn.upper[i], chart.metric) if _banded(drawn, i) else "",
            drawn.outside(i),
        )
        for i, when in zip(picked, _told(times, tz), strict=True)
    )


def _picked(chart: Chart, drawn: Samples) -> Sequence[int]:
    known = [i for i in range(len(drawn.times)) if math.isfinite(drawn.values[i]) or _banded(drawn, i)]
    every = math.ceil(len(known) / _MOST) or 1
    far = extreme(drawn, onset(chart))
    return sorted({*known[::every], *([far] if far is not None else [])})


def _told(times: Sequence[datetime], tz: tzinfo) -> list[str]:
    """Each moment with its zone."""
    return [f"{word} {zone(at.astimezone(tz))}" for word, at in zip(moments(times, tz), times, strict=True)]


def _banded(drawn: Samples, i: int) -> bool:
    return math.isfinite(drawn.lower[i]) and math.isfinite(drawn.upper[i])


def _height(drawn: Samples, i: int) -> float:
    if math.isfinite(drawn.values[i]):
        return drawn.values[i]
    return drawn.mean[i] if math.isfinite(drawn.mean[i]) else (drawn.lower[i] + drawn.upper[i]) / 2


def _quantity(value: float, metric: str) -> str:
    return quantity(value, metric) if math.isfinite(value) else ""
