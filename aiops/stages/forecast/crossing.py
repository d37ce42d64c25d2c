"""When will it be full, or empty: the moments at which a forecast reaches a limit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from aiops.domain import NS, Crossing, FloatArray, from_ns

_PERCENT = re.compile(r"(^|_)(percent|pct)(_|$)")
_SHARE = re.compile(r"(^|_)(ratio|utili[sz]ation)(_|$)")
_FILLING = re.compile(r"(disk|fs|filesystem|volume|inodes?|mem|memory|heap|swap)(_\w+)?_(usage|used|util)(_|$)")
_LEFT = re.compile(r"(^|_)(free|avail|available|remaining|headroom)(_|$)")
_SIZE = re.compile(r"(^|_)([kmg]i?b|bytes|cores|seconds|total)(_|$)")


def limit_of(metric: str, values: FloatArray) -> float | None:
    """The level at which a metric is full or empty, where its name and its values leave no doubt; else None.

    What is left runs out at 0; a share is full at 1, or at 100 where it has been above 1.5."""
    name = re.sub(r"[^a-z0-9]+", "_", metric.lower())
    known = values[np.isfinite(values)]
    if not len(known) or known.min() < 0:
        return None
    if _LEFT.search(name):
        return 0.0
    if known.max() > 100 or _SIZE.search(name):
        return None
    if _PERCENT.search(name):
        return 100.0
    if _SHARE.search(name) or _FILLING.search(name):
        return 1.0 if known.max() <= 1.5 else 100.0
    return None


def crossing(
    limit: float, last: float, times: Sequence[int], mean: FloatArray, lower: FloatArray, upper: FloatArray
) -> Crossing:
    """When each of the three reaches `limit`, coming from `last`. times: (H,) epoch seconds."""
    falling = last > limit
    near, far = (lower, upper) if falling else (upper, lower)

    def first(course: FloatArray) -> datetime | None:
        there = np.flatnonzero(course <= limit if falling else course >= limit)
        return from_ns(times[int(there[0])] * NS) if len(there) else None

    return Crossing(limit, falling, first(near), first(mean), first(far))
