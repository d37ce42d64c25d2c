"""How unusual a sample is: magnitudes over the last values, and the tail probability of each among its own past.

Only the tail of a magnitude decides, and it is taken for a Pareto tail: beyond the largest hundredth the probability falls as a power,
whose exponent is Hill's estimate (Annals of Statistics, 1975) shrunk towards one octave per e-fold. So a break is told from a mere
record, and by how much, which ranks alone can't do. The sample stands in a histogram of 20 logarithmic bins that follows the tail: it
moves up when a value lies beyond its last bin, or its bins double in width (UDDSketch, Epicoco et al., 2020) where the tail would be lost.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aiops.domain import FloatArray
from aiops.kernels.compiled import njit

Single = NDArray[np.float32]
Counts = NDArray[np.uint16]
Edges = NDArray[np.int16]

VIEWS = (
    "jump",
    "residual",
    "drift",
    "season",
    "shift",
    "slow shift",
    "range",
    "spread",
    "far level",
    "calm",
    "stillness",
)
JUMP, RESIDUAL, DRIFT, SEASON, SHIFT, SLOW_SHIFT, RANGE, SPREAD, FAR_LEVEL, CALM, STILLNESS = range(len(VIEWS))
RECALL = ("unlike any window", "unlike any course")  # of the second tier, which remembers
SPAN, LONG, BLOCK = 24, 48, 12  # values in the spread, in the slow shift, in a block
RING, BLOCKS = LONG, 16
BINS = 20

_FULL = 60_000  # samples in a histogram before it is halved
_RAMP = 48  # samples that only place a histogram
_FINEST = 8  # bins per octave at first
_TINY = 1e-300
_NEIGHBOURS = 3
_TAIL, _FEWEST = 0.01, 12.0  # share of the samples that make the tail, and their least number
_PRIOR = 3.0  # samples' worth of belief in a tail that falls by e with each octave
_STEEPEST = 25.0  # e-folds that are told apart beyond the tail's beginning
_SLOWEST = 3.0  # octaves per e-fold, at most
_STILL = 24  # ticks without a new value before stillness is a magnitude


@njit(cache=True, error_model="numpy")
def windows(ring: Single, blocks: Single, count: int, usual: float, seen: FloatArray) -> float:
    """Fill the views of windows from the last 12, 24 and 48 values and the blocks before; the mean of 12. `usual` is the series' spread."""
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
    seen[SHIFT] = abs(recent - older) / BLOCK if count >= SPAN else 0.0
    seen[SLOW_SHIFT] = (
        abs((recent + older + rest) / LONG - _block_mean(blocks, count, 5, 4)) if count >= 9 * BLOCK else 0.0
    )
    seen[RANGE], seen[SPREAD] = high - low, std
    seen[FAR_LEVEL] = abs(mean - _block_mean(blocks, count, 2, 12)) if count >= 13 * BLOCK else 0.0
    seen[CALM] = usual / (std + 0.1 * usual) if count >= SPAN and usual > 0 else 0.0
    return mean


@njit(cache=True, error_model="numpy")
def still(run: float) -> float:
    """Magnitude of `run` ticks without a new value."""
    return max(run - _STILL + 1.0, 0.0)


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
    """1 / tail probability of `magnitude` among view j's before, at least 1; then it is counted in.

    counts: (V, BINS + 1) samples per bin and of all bins. edges: (V, 3) number of the lowest bin, bins per octave, where the tail begins.
    """
    # A double's bits are its binary logarithm, the mantissa taken for linear: monotone, and ten times as fast as the true one.
    power = np.float64(magnitude).view(np.int64) * 2.0**-52 - 1023.0 if magnitude > _TINY else -1000.0
    if count < _RAMP:
        if magnitude > _TINY:
            octave[j] += (power - octave[j]) / (count + 1) if octave[j] != 0 else power
        return 1.0
    held, edge = counts[j], edges[j]
    if edge[1] == 0:
        edge[0], edge[1] = math.floor((octave[j] - 1.5) * _FINEST), _FINEST
    place = math.floor(power * edge[1]) - edge[0]
    while place >= BINS:
        _make_room(held, edge, place - BINS + 1)
        place = math.floor(power * edge[1]) - edge[0]
    place = max(place, 0)
    # Most samples lie far below the tail, which moves slowly: where it begins is found anew when a sample reaches it, or after 32.
    odds = 1.0
    if place > 0 and (place >= edge[2] or held[BINS] % 32 == 0):
        odds = _odds(held, edge, power * edge[1] - edge[0])
    held[place] += 1
    held[BINS] += 1
    if held[BINS] >= _FULL:
        held[BINS] = 0
        for b in range(BINS):
            held[b] = held[b] // 2
            held[BINS] += held[b]
    return odds


@njit(cache=True, error_model="numpy")
def _odds(held: Counts, edge: Edges, place: float) -> float:
    """1 / the share that lies at or above `place` (in bins, > 0): by the tail's power, by rank where too few make a tail."""
    every = float(held[BINS])
    need = max(_TAIL * every, _FEWEST)
    cut, taken, excess = BINS, 0, 0
    while cut > 1 and taken < need:
        cut -= 1
        taken += held[cut]
        excess += taken  # each value once for its bin and each bin below it: the sum of what they exceed the cut by
    edge[2] = cut
    if taken < need:
        above = 0
        for b in range(int(place), BINS):
            above += held[b]
        return max((every + 1.0) / (above + 0.5), 1.0)
    if place < cut:
        return 1.0
    decay = min((excess - 0.5 * taken + _PRIOR * edge[1]) / (taken + _PRIOR), _SLOWEST * edge[1])
    return max((every + 1.0) / (taken + 0.5) * math.exp(min((place - cut) / decay, _STEEPEST)), 1.0)


@njit(cache=True, error_model="numpy")
def _make_room(held: Counts, edge: Edges, by: int) -> None:
    """Move the bins up by `by`, what falls below joining the lowest; where that would swallow the tail, halve the bins per octave."""
    need, kept = max(_TAIL * held[BINS], _FEWEST), 0
    for b in range(by + 1, BINS):
        kept += held[b]
    moved = np.zeros(BINS, np.uint16)
    if kept >= need or edge[1] == 1:
        for b in range(BINS):
            moved[max(b - by, 0)] += held[b]
        edge[0] += by
    else:
        low = edge[0] // 2
        for b in range(BINS):
            moved[(edge[0] + b) // 2 - low] += held[b]
        edge[0], edge[1] = low, edge[1] // 2
    held[:BINS] = moved
    edge[2] = 0
