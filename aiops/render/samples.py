"""What is drawn of a chart, and where: a few hundred samples that keep every extreme, on their axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiops.domain import Chart
from aiops.render.scale import TimeAxis, ValueAxis, time_axis, value_axis

WIDE, HIGH = 520, 224
PLOT_TOP, PLOT_BOTTOM = 46.0, 194.0
_MOST_POINTS = 240
_LARGEST = 1e200  # infinities, and what becomes one when an axis is computed from it


@dataclass(frozen=True, slots=True)
class Samples:
    """What is drawn of a chart: at most a few hundred samples that keep every extreme."""

    times: tuple[int, ...]
    values: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    mean: tuple[float, ...] = ()

    def outside(self, index: int) -> bool:
        """Whether a sample lies outside its band; a gap or a missing band is not outside."""
        value = self.values[index]
        return value < self.lower[index] or value > self.upper[index]


def samples(chart: Chart) -> Samples:
    """Keeps the lowest and the highest of each bucket of samples, in their order; all when there are few. O(points)."""
    size = min(len(chart.times), len(chart.values))
    columns = (chart.values, chart.lower, chart.upper, chart.mean)
    values, lower, upper, mean = (_numbers(column, size) for column in columns)
    per_bucket = math.ceil(2 * size / _MOST_POINTS) if size > _MOST_POINTS else 1
    keep: list[int] = []
    for start in range(0, size, per_bucket):
        bucket = range(start, min(start + per_bucket, size))
        known = [i for i in bucket if math.isfinite(values[i])] or [start]
        keep.extend(sorted({min(known, key=values.__getitem__), max(known, key=values.__getitem__)}))
    return Samples(
        tuple(chart.times[i] for i in keep),
        tuple(values[i] for i in keep),
        tuple(lower[i] for i in keep),
        tuple(upper[i] for i in keep),
        tuple(mean[i] for i in keep),
    )


def _numbers(column: Sequence[float | None], size: int) -> Sequence[float]:
    """A column of a chart with NaN for what cannot be drawn; a column that is too short is missing as a whole."""
    if len(column) < size:
        return (math.nan,) * size
    return tuple(math.nan if value is None or not abs(value) <= _LARGEST else value for value in column)


def extreme(drawn: Samples, onset: float = -math.inf) -> int | None:
    """The sample farthest outside its band, in widths of the band, since `onset` if any is; None when none is outside."""
    outside = [i for i in range(len(drawn.values)) if drawn.outside(i)]
    outside = [i for i in outside if drawn.times[i] >= onset] or outside

    def departure(i: int) -> float:
        breadth = max(drawn.upper[i] - drawn.lower[i], 1e-12)
        return max(drawn.lower[i] - drawn.values[i], drawn.values[i] - drawn.upper[i]) / breadth

    return max(outside, key=departure, default=None)


def onset(chart: Chart) -> float:
    """When it began to misbehave, in epoch seconds; -inf where nobody says so."""
    return next((at for label, at in chart.marks if label == "onset"), -math.inf)


def plot(chart: Chart) -> tuple[Samples, TimeAxis, ValueAxis]:
    """The samples and the axes of a large chart."""
    drawn = samples(chart)
    return drawn, time_axis(drawn.times, 8.0, WIDE - 8.0, 22.0), ordinate(chart, drawn, PLOT_BOTTOM, PLOT_TOP)


def ordinate(chart: Chart, drawn: Samples, bottom: float, top: float) -> ValueAxis:
    """Holds what was measured and is expected, and the band and the limit as far as they don't flatten these."""
    band = [v for pair in zip(drawn.lower, drawn.upper, strict=True) for v in pair]
    limit = [chart.limit] if chart.limit is not None else []
    return value_axis([*drawn.values, *drawn.mean], [*band, *limit], bottom, top)
