"""Samples at their own times onto the grid of a step: one value per series and slot, each sample used once at most.

Slot g takes the last finite sample in (g - step, g]. Where there is none it takes the first in (g, g + tolerance] that follows the
one used before within a step and the tolerance, because a scrape whose time trembles around the grid would else leave every other
slot empty. What a slot takes depends only on the samples, on `at`, the time of the last one used, and on `filled`, the slot that it
was used for: a range cut into pulls gives the same values as the range at once, and no slot is filled twice.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aiops.domain import NS, BoolArray, FloatArray, IntArray
from aiops.kernels.compiled import njit

Seconds = NDArray[np.uint32]  # since the epoch: half the bytes, until 2106


@njit(cache=True)
def place(
    starts: IntArray,
    times: IntArray,
    values: FloatArray,
    series: IntArray,
    rows: IntArray,
    counter: BoolArray,
    at: IntArray,
    raw: FloatArray,
    filled: Seconds,
    grid: IntArray,
    step: int,
    tolerance: int,
    out: FloatArray,
) -> None:
    """Fill `out` (R, T) at `grid` (T,) from the samples of `series`, whose rows in `out` and the columns before are `rows`.

    Times in ns, but `filled` and `grid` in s. `at` (R,), `raw` (R,) and `filled` (R,), the last sample used, its value and its
    slot, move on. A counter becomes the increase per second between the times at which it was really sampled, from zero after
    a fall; its first sample gives none. Cells that no sample belongs to stay as they are. One pass: O(samples + series x T).
    """
    for k in range(len(series)):
        r, i, end = rows[k], starts[series[k]], starts[series[k] + 1]
        while i < end and times[i] <= at[r]:
            i += 1
        for t in range(len(grid)):
            slot = grid[t] * NS
            if grid[t] <= filled[r]:
                while i < end and times[i] <= slot:
                    i += 1
                continue
            chosen, i = _choose(times, values, i, end, slot, step, tolerance, at[r])
            if chosen < 0:
                continue
            value, gone = values[chosen], (times[chosen] - at[r]) / NS
            if not counter[r]:
                out[r, t] = value
            elif math.isfinite(raw[r]) and gone > 0:
                out[r, t] = (value - raw[r] if value >= raw[r] else value) / gone
            at[r], raw[r], filled[r] = times[chosen], value, grid[t]


@njit(cache=True)
def _choose(
    times: IntArray, values: FloatArray, i: int, end: int, slot: int, step: int, tolerance: int, before: int
) -> tuple[int, int]:
    """(the sample that belongs to `slot`, or -1; the first one left for later slots), from sample `i` on."""
    chosen = -1
    while i < end and times[i] <= slot:
        if times[i] > slot - step and math.isfinite(values[i]):
            chosen = i
        i += 1
    if chosen < 0:
        for ahead in range(i, end):
            if times[ahead] > slot + tolerance or times[ahead] - before > step + tolerance:
                break
            if math.isfinite(values[ahead]):
                return ahead, ahead + 1
    return chosen, i
