"""Cumulative counters to rates: what grows for ever says nothing by its level."""

from __future__ import annotations

import re

import numpy as np

from aiops.domain import NS, FloatArray, IntArray

# Suffixes of the OpenMetrics naming rules for counters and the parts of histograms and summaries.
_NAMED = re.compile(r"_(total|count|sum|bucket)$")
_LEAST_RISING = 0.9  # of steps; a counter falls only when its process restarts
_BREAK = 5  # a pause of more steps than that has no rate across it


def is_counter(name: str, values: FloatArray) -> bool:
    """Whether a series (T,) is a counter by its name and by what it does: a gauge that is named like one stays a gauge."""
    if not _NAMED.search(name):
        return False
    steps = np.diff(values[np.isfinite(values)])
    return bool(len(steps)) and float(np.mean(steps >= 0)) >= _LEAST_RISING


def rate(times: IntArray, values: FloatArray) -> FloatArray:
    """Per-second increase of counters, (S, T) -> (S, T). times: (T,) ns.

    NaN at the first sample, after a gap, and where the recording pauses or goes back in time. After a reset the counter counts
    from zero, as PromQL's `rate` assumes. O(S T).
    """
    out = np.full(values.shape, np.nan)
    if len(times) < 2:
        return out
    step = np.diff(times)
    increase = np.diff(values, axis=1)
    increase = np.where(increase < 0, values[:, 1:], increase)
    runs_on = (step > 0) & (step <= _BREAK * np.median(step))
    out[:, 1:] = np.where(runs_on, increase / np.maximum(step, 1) * NS, np.nan)
    return out
