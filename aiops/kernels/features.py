"""Twelve features of each series in one pass, by tsfresh's own names: its minimal set, the mean step and the slope.

Sums are formed pairwise in numpy's order, so each feature agrees with tsfresh and scipy to the last digits even for values
around 1e12. Gaps (NaN) are left out before; infinities pass through as in numpy.
"""

from __future__ import annotations

import math

import numpy as np

from aiops.domain import FloatArray
from aiops.kernels.compiled import njit

NAMES = (
    "sum_values",
    "median",
    "mean",
    "length",
    "standard_deviation",
    "variance",
    "root_mean_square",
    "maximum",
    "absolute_maximum",
    "minimum",
    "mean_abs_change",
    'linear_trend__attr_"slope"',
)

_COUNTED = 128  # values whose median is found by counting
_LEAF = 128  # numpy adds up to here with eight running sums, and halves what is longer


def features(values: FloatArray) -> FloatArray:
    """(S, T) -> (S, 12) in the order of `NAMES`, over each row's values that are not NaN; about 0.4 us for 60 values.

    An empty row has sum 0, length 0 and NaN elsewhere; a single sample has no mean step and no slope (NaN).
    """
    rows = np.ascontiguousarray(values, np.float64)
    out = np.empty((rows.shape[0], len(NAMES)))
    _features(rows, out)
    return out


@njit(cache=True, error_model="numpy")
def _features(values: FloatArray, out: FloatArray) -> None:
    kept, work = np.empty(values.shape[1]), np.empty(values.shape[1])
    for s in range(values.shape[0]):
        count = 0
        for v in values[s]:
            kept[count] = v
            count += v == v  # noqa: PLR0124 - NaN test
        out[s] = np.nan
        out[s, 0], out[s, 3] = 0.0, count
        if count:
            _moments(kept[:count], work[:count], out[s])
            _order(kept[:count], work[:count], out[s])
            if count > 1:
                _course(kept[:count], work[: count - 1], out[s])


@njit(cache=True, error_model="numpy")
def _moments(x: FloatArray, work: FloatArray, row: FloatArray) -> None:
    """Sum, mean, variance, standard deviation and root mean square."""
    count = len(x)
    row[0] = pairwise(x, 0, count)
    mean = row[0] / count
    row[2] = mean
    for j in range(count):
        work[j] = (x[j] - mean) * (x[j] - mean)
    row[5] = pairwise(work, 0, count) / count
    row[4] = math.sqrt(row[5])
    for j in range(count):
        work[j] = x[j] * x[j]
    row[6] = math.sqrt(pairwise(work, 0, count) / count)


@njit(cache=True, error_model="numpy")
def _order(x: FloatArray, work: FloatArray, row: FloatArray) -> None:
    """Median, maximum, absolute maximum and minimum."""
    count = len(x)
    low = high = x[0]
    for v in x:
        low, high = min(low, v), max(high, v)
    row[7], row[8], row[9] = high, max(abs(high), abs(low)), low
    if count <= _COUNTED:
        row[1] = _counted_median(x)
        return
    work[:] = x
    upper = _select(work, count // 2)
    row[1] = upper
    if count % 2 == 0:
        lower = -np.inf
        for j in range(count // 2):
            lower = max(lower, work[j])
        row[1] = (lower + upper) / 2


@njit(cache=True, error_model="numpy")
def _counted_median(x: FloatArray) -> float:
    """Median by counting what lies below each value: O(n^2), but without a branch that a processor could guess wrong."""
    count, middle = len(x), len(x) // 2
    lower = upper = -np.inf
    for i in range(count):
        v, below = x[i], np.int32(0)
        for j in range(count):  # by index: numba makes vectors of this loop, not of one over the values
            below += np.int32(x[j] < v)
        if below <= middle and v > upper:
            upper = v
        if below < middle and v > lower:
            lower = v
    return upper if count % 2 else (lower + upper) / 2


@njit(cache=True, error_model="numpy")
def _course(x: FloatArray, work: FloatArray, row: FloatArray) -> None:
    """Mean absolute step, and the slope of the least-squares line over 0, 1, 2..."""
    steps = len(work)
    for j in range(steps):
        work[j] = abs(x[j + 1] - x[j])
    row[10] = pairwise(work, 0, steps) / steps
    middle, joint = steps / 2, 0.0
    for j in range(steps + 1):
        joint += (j - middle) * (x[j] - row[2])
    count = steps + 1.0
    row[11] = joint / (count * (count * count - 1) / 12)


@njit(cache=True, error_model="numpy")
def _select(x: FloatArray, k: int) -> float:
    """The k-th smallest of `x`, which is left partitioned around it (Hoare's selection); O(n) expected."""
    low, high = 0, len(x) - 1
    while low < high:
        pivot = x[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return float(x[k])


@njit(cache=True, error_model="numpy")
def pairwise(x: FloatArray, start: int, count: int) -> float:
    """Sum of `count` values from `start`, with numpy's own order of additions: error O(eps log n).

    numpy halves recursively; a stack walks the same tree here, because numba's cache breaks on functions that call themselves.
    """
    if count <= _LEAF:
        return _leaf(x, start, count)
    begin, size, left = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64)
    side = np.zeros(64, np.int64)  # 0: to be opened, 1: its left half is being summed, 2: its right
    begin[0], size[0], top, answer = start, count, 0, 0.0
    while top >= 0:
        half = size[top] // 2 // 8 * 8
        if size[top] <= _LEAF:
            answer = _leaf(x, begin[top], size[top])
            top -= 1
        elif side[top] == 0:
            side[top] = 1
            begin[top + 1], size[top + 1], side[top + 1] = begin[top], half, 0
            top += 1
        elif side[top] == 1:
            side[top], left[top] = 2, answer
            begin[top + 1], size[top + 1], side[top + 1] = begin[top] + half, size[top] - half, 0
            top += 1
        else:
            answer = left[top] + answer
            top -= 1
    return answer


@njit(cache=True, error_model="numpy")
def _leaf(x: FloatArray, start: int, count: int) -> float:
    """At most 128 values with eight running sums."""
    if count < 8:
        total = -0.0
        for j in range(start, start + count):
            total += x[j]
        return total
    a, b, c, d = x[start], x[start + 1], x[start + 2], x[start + 3]
    e, f, g, h = x[start + 4], x[start + 5], x[start + 6], x[start + 7]
    whole = count // 8 * 8
    for j in range(start + 8, start + whole, 8):
        a += x[j]
        b += x[j + 1]
        c += x[j + 2]
        d += x[j + 3]
        e += x[j + 4]
        f += x[j + 5]
        g += x[j + 6]
        h += x[j + 7]
    total = float(((a + b) + (c + d)) + ((e + f) + (g + h)))
    for j in range(start + whole, start + count):
        total += x[j]
    return total
