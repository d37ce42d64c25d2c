"""How unusual a sample is: magnitudes over the last values, and the tail probability of each among its own past.

A magnitude ranks in a histogram of 20 logarithmic bins that follows its range: bins double in width when a value lies beyond the
last (UDDSketch, Epicoco et al., 2020). Counting the whole bin of the value as "at least as large" makes ties common and records rare.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.domain import FloatArray

Single = NDArray[np.float32]
Counts = NDArray[np.uint16]
Edges = NDArray[np.int16]

VIEWS = (
    "jump",
    "residual",
    "volatility",
    "drift",
    "season",
    "shift",
    "slow shift",
    "range",
    "spread",
    "spread change",
    "level",
    "far level",
)
RECALL = ("unlike any window", "unlike any course")  # of the second tier, which remembers
SPAN, LONG, BLOCK = 24, 48, 12  # values in the spread, in the slow shift, in a block
RING, BLOCKS = LONG, 16
BINS = 20

_FULL = 60_000  # samples in a histogram before it is halved
_RAMP = 48  # samples that only place a histogram
_TINY = 1e-300
_NEIGHBOURS = 3


@njit(cache=True, error_model="numpy")
def windows(ring: Single, blocks: Single, count: int, seen: FloatArray) -> tuple[float, float]:
    """Fill views 5 to 8 and 11 from the last 12, 24 and 48 values and the blocks before; (standard deviation of 24, mean of 12)."""
    low = high = ring[count % RING]
    recent = older = rest = 0.0
    for j in range(min(count + 1, LONG)):
        v = ring[(count - j) % RING]
        if j < BLOCK:
            recent += v
        elif j < SPAN:
            older += v
        else:
            rest += v
        if j < SPAN:
            low, high = min(low, v), max(high, v)
    have = min(count + 1, SPAN)
    centre, square = (recent + older) / have, 0.0
    for j in range(have):
        square += (ring[(count - j) % RING] - centre) ** 2
    std, mean = math.sqrt(square / have), recent / min(count + 1, BLOCK)
    seen[5] = abs(recent - older) / BLOCK if count >= SPAN else 0.0
    seen[6] = abs((recent + older + rest) / LONG - _block_mean(blocks, count, 5, 4)) if count >= 9 * BLOCK else 0.0
    seen[7], seen[8] = high - low, std
    seen[11] = abs(mean - _block_mean(blocks, count, 2, 12)) if count >= 13 * BLOCK else 0.0
    return std, mean


@njit(cache=True, error_model="numpy")
def _block_mean(blocks: Single, count: int, first: int, number: int) -> float:
    """Mean of `number` finished blocks, the latest of them `first` blocks back."""
    total = 0.0
    for j in range(number):
        total += blocks[(count // BLOCK - first - j) % BLOCKS]
    return total / number


@njit(cache=True, error_model="numpy")
def nearest(memory: Single, count: int, span: int, stride: int, gap: int) -> float:
    """Euclidean distance of the last `span` values, `stride` apart, to the third nearest of the windows that end at least `gap`
    ticks ago, every third tick; 0 before there are any. memory: (M,), the value of tick n at n mod M. O(M span / 3), abandoned early.
    """
    size = len(memory)
    best = np.full(_NEIGHBOURS, np.inf)
    reach = (span - 1) * stride
    for lag in range(gap, min(count, size - 1) - reach + 1, 3):
        distance = 0.0
        for j in range(span):
            apart = memory[(count - j * stride) % size] - memory[(count - lag - j * stride) % size]
            distance += apart * apart
            if distance >= best[_NEIGHBOURS - 1]:
                break
        k = _NEIGHBOURS - 1
        if distance < best[k]:
            while k > 0 and best[k - 1] > distance:
                best[k] = best[k - 1]
                k -= 1
            best[k] = distance
    return math.sqrt(best[_NEIGHBOURS - 1]) if best[_NEIGHBOURS - 1] < np.inf else 0.0


@njit(cache=True, error_model="numpy")
def rarity(count: int, counts: Counts, edges: Edges, octave: Single, j: int, magnitude: float) -> float:
    """1 / tail probability of `magnitude` among view j's before; then it is counted in."""
    power = math.log2(magnitude) if magnitude > _TINY else -1000.0
    if count < _RAMP:
        if magnitude > _TINY:
            octave[j] += (power - octave[j]) / (count + 1) if octave[j] != 0 else power
        return 1.0
    held, edge = counts[j], edges[j]
    if count == _RAMP:
        edge[1] = 4
        edge[0] = math.floor((octave[j] - 1.5) * 4)
    place = math.floor(power * edge[1]) - edge[0]
    while place >= BINS and edge[1] > 1:
        _coarsen(held, edge)
        place = math.floor(power * edge[1]) - edge[0]
    if place >= BINS:
        _lift(held, edge, place - BINS + 1)
        place = BINS - 1
    place = max(place, 0)
    beyond, every = 0, 0
    for b in range(BINS):
        every += held[b]
        if b >= place:
            beyond += held[b]
    held[place] += 1
    if every >= _FULL:
        for b in range(BINS):
            held[b] = held[b] // 2
    return (every + 1.0) / (beyond + 0.5) if place > 0 else 1.0


@njit(cache=True, error_model="numpy")
def _coarsen(held: Counts, edge: Edges) -> None:
    """Halve the bins per octave and keep every count."""
    low = edge[0] // 2
    moved = np.zeros(BINS, np.uint16)
    for b in range(BINS):
        moved[(edge[0] + b) // 2 - low] += held[b]
    held[:] = moved
    edge[0], edge[1] = low, edge[1] // 2


@njit(cache=True, error_model="numpy")
def _lift(held: Counts, edge: Edges, by: int) -> None:
    """Move the histogram up by `by` bins; what falls below joins its lowest bin."""
    moved = np.zeros(BINS, np.uint16)
    for b in range(BINS):
        moved[max(b - by, 0)] += held[b]
    held[:] = moved
    edge[0] += by
