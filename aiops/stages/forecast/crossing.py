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
    name = _words(metric)
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
    metric: str,
    limit: float,
    last: tuple[int, float],
    times: Sequence[int],
    mean: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> Crossing:
    """When each of the three reaches `limit`, coming from `last` (epoch seconds, value). times: (H,) epoch seconds.

    A metric whose name says that it fills up, or runs out, may have passed its limit already; any other comes from where it is."""
    at, value = last
    falling = _falling(metric, value > limit)
    if value == limit or (value < limit) == falling:
        now = from_ns(at * NS)
        return Crossing(limit, falling, now, now, now)
    near, far = (lower, upper) if falling else (upper, lower)

    def first(course: FloatArray) -> datetime | None:
        there = np.flatnonzero(course <= limit if falling else course >= limit)
        return from_ns(times[int(there[0])] * NS) if len(there) else None

    return Crossing(limit, falling, first(near), first(mean), first(far))


def _falling(metric: str, above: bool) -> bool:
    """Whether the limit is reached from above: by the metric's name, else by the side on which it is."""
    name = _words(metric)
    if _LEFT.search(name):
        return True
    return above and not _FILLING.search(name)


def _words(metric: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", metric.lower())
