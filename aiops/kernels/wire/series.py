"""Samples of many series as columns: one entry for each series, its times increasing, whatever order they came in."""

from __future__ import annotations

import numpy as np

from aiops.domain import FloatArray, Gap, IntArray, Samples
from aiops.kernels.compiled import njit
from aiops.kernels.wire.labels import Decoded

FARTHEST_MS = (1 << 63) // 1_000_000 - 1  # whose nanoseconds are an int64
_MS = 1_000_000  # ns


def columns(
    keys: list[bytes], sizes: IntArray, times: IntArray, values: FloatArray, gaps: tuple[Gap, ...] = ()
) -> Samples:
    """`Samples` of parts: part k has `sizes[k]` samples behind those of the part before it, at `times` in ms.

    Parts of the same key are one series; of samples at one time the last is kept; a series without samples is absent.
    `times` is used up. O(samples), and O(samples log samples) where the order has to be made."""
    if len(set(keys)) < len(keys) or _disordered(times, sizes):
        keys, sizes, times, values = _merged(keys, sizes, times, values)
    if (sizes == 0).any():
        keys = [key for key, size in zip(keys, sizes.tolist(), strict=True) if size]
        sizes = sizes[sizes > 0]
    starts = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    times *= _MS
    return Samples(Decoded(keys), keys, starts, times, values, tuple(dict.fromkeys(gaps)))


def _merged(
    keys: list[bytes], sizes: IntArray, times: IntArray, values: FloatArray
) -> tuple[list[bytes], IntArray, IntArray, FloatArray]:
    first: dict[bytes, int] = {}
    owner = np.array([first.setdefault(key, len(first)) for key in keys], np.int64)
    place = np.repeat(owner, sizes)
    order = np.lexsort((times, place))
    place, times, values = place[order], times[order], values[order]
    last = np.ones(len(times), np.bool_)
    last[:-1] = (np.diff(place) != 0) | (np.diff(times) != 0)
    return list(first), np.bincount(place[last], minlength=len(first)), times[last], values[last]


@njit(cache=True)
def _disordered(times: IntArray, sizes: IntArray) -> bool:
    """Whether the times of any part do not increase."""
    at = 0
    for size in sizes:
        for k in range(at + 1, at + size):
            if times[k] <= times[k - 1]:
                return True
        at += size
    return False


@njit(cache=True)
def spread(
    rows: IntArray, sizes: IntArray, times: IntArray, values: FloatArray, first: int, step: int, matrix: FloatArray
) -> None:
    """Put the samples of part k into row `rows[k]`, the sample at `first` into column 0 and one at `first + step` into the next.

    What is there already stays; what is no finite number is a gap. All times fit (`misplaced`)."""
    at = 0
    for k in range(len(sizes)):
        row = matrix[rows[k]]
        for place in range(at, at + sizes[k]):
            column = (times[place] - first) // step
            if np.isfinite(values[place]) and np.isnan(row[column]):
                row[column] = values[place]
        at += sizes[k]


@njit(cache=True)
def misplaced(sizes: IntArray, times: IntArray, first: int, step: int, count: int) -> int:
    """The part with a sample beside the `count` times from `first` every `step`, or -1."""
    at = 0
    for k in range(len(sizes)):
        for place in range(at, at + sizes[k]):
            away = times[place] - first
            if away < 0 or away % step or away // step >= count:
                return k
        at += sizes[k]
    return -1
