"""What was expected of a series, by its baseline alone: the band that a report draws, and how well such a band has held.

Before the incident it is what the online engine said one step ahead, once it is warm, and the robust range until then. From
there on nothing is learnt: the band is that of a forecast over the whole incident, never narrower than the engine's last one.
The same is done once more from an earlier point of the baseline, and what it covered there is said. Where the baseline is of
another time, or that band did not hold, the robust range is drawn throughout. docs/forecasting.md has the measurements behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiops.domain import NS, BoolArray, FloatArray, IntArray
from aiops.kernels import tick
from aiops.kernels.ahead import ahead
from aiops.stages.detect.window import runs_on, step_of

FURTHEST = 60  # steps ahead; the band stays as it is there
LEAST_COVERAGE = 0.8  # of the tried band; below, it is not drawn
_DAY_NS = 86_400 * NS


@dataclass(frozen=True, slots=True)
class Expected:
    """(T,) bounds, NaN where nothing was expected yet; `caption` says how they were made and what they covered."""

    lower: FloatArray
    upper: FloatArray
    caption: str


def expected(times: IntArray, values: FloatArray, incident: BoolArray, robust: tuple[float, float]) -> Expected:
    """The band of one series over baseline and incident. times (T,) ns, values (T,), NaN = gap; `robust`: its baseline's range."""
    baseline = ~incident
    known = baseline & np.isfinite(values)
    state = tick.fresh(1)
    tick.advance(state, times[baseline] // NS, values[None, baseline])
    warming = tick.warming(state, 0)
    if runs_on(times) and known.any() and not incident[: int(np.argmax(baseline))].any():
        first = int(np.argmax(incident)) if incident.any() else len(values)
        held_out = min(len(values) - first, first // 3, FURTHEST)
        share = _covered(times, values, first - held_out, first)
        if share is not None and share >= LEAST_COVERAGE:
            lower, upper = _band(times, values, first)
            cold = (np.cumsum(np.isfinite(values)) <= tick.WARM) & baseline
            lower[cold], upper[cold] = robust
            tried = f"tried on the {held_out} samples before, it held {share:.0%}"
            return Expected(lower, upper, _caption("forecast from the baseline", tried, warming))
    inside = known & (values >= robust[0]) & (values <= robust[1])
    held = f"it held {inside.sum() / known.sum():.0%} of it" if known.any() else "which has no sample"
    flat = np.ones(len(values))
    return Expected(flat * robust[0], flat * robust[1], _caption("robust range of the baseline", held, warming))


def _caption(method: str, held: str, warming: str | None) -> str:
    return f"Expected range: {method}; {held}" + (f" ({warming})" if warming else "")


def _covered(times: IntArray, values: FloatArray, first: int, end: int) -> float | None:
    """Share of the samples from `first` up to `end` that a band from what was before `first` holds; None without a band."""
    lower, upper = _band(times[:end], values[:end], first)
    late = slice(first, end)
    seen = np.isfinite(values[late])
    if not seen.any() or not np.isfinite(lower[late]).all():
        return None
    return float(np.mean(((values[late] >= lower[late]) & (values[late] <= upper[late]))[seen]))


def _band(times: IntArray, values: FloatArray, first: int) -> tuple[FloatArray, FloatArray]:
    """(T,) bounds: one step ahead up to row `first`, from there a forecast that sees nothing later."""
    before = np.where(np.arange(len(values)) < first, values, np.nan)
    ticks = tick.advance(tick.fresh(1), times // NS, before[None])
    lower, upper = ticks.lower[0], ticks.upper[0]
    horizon = len(values) - first
    if horizon:
        day = int(_DAY_NS // max(step_of(times), 1))
        season = day if first >= 2.5 * day > 2.5 else 1
        course = ahead(values[:first], season, min(horizon, FURTHEST))
        far = np.minimum(np.arange(horizon), len(course.mean) - 1)
        lower[first:] = np.fmin(lower[first:], course.lower[far])
        upper[first:] = np.fmax(upper[first:], course.upper[far])
    return lower, upper
