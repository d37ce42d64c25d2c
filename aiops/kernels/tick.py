"""The online engine: every series of a fleet forecast, banded and scored at every step, at the memory limit.

One kernel serves batch and stream: `advance` walks a block of any length, so a Panel at once equals the same Panel tick by
tick, bit for bit. Each series owns one row in each array of `State`; nothing is shared and nothing looks ahead.

What a row learns, in the order of a tick:

- **Centre**: recursive least squares (forgetting .999) of the value on 3 lags, a constant, and the seasonal expectation of this
  and the previous slot (48 daily slots plus the deviation of 56 weekly ones), weighted by the inverse of the noise.
- **Band**: half-width = slow mean |residual| x exp(q +- skew + a log(fast/slow) + b log(slot/slow)). After each sample q moves by
  .2 (miss - .05), the skew by .02 (above - below), a and b along their own gradients: adaptive conformal inference (Gibbs
  and Candes, 2021) on a heteroscedastic, asymmetric width. Coverage holds for any stationary or drifting series.
- **Views**: eleven magnitudes (`VIEWS`), each turned into the tail probability among its own past (`kernels.views`), and combined by
  the harmonic mean of the p-values (Wilson, PNAS 2019), which stays valid under the views' dependence.
- **Score**: -log10 of the combined p over `ONSET`; 1.0 is the threshold. `score` marks onsets: for `QUIET` ticks after an alert it
  stays below 1 unless the evidence grows tenfold, and each alert makes the next one harder by `WARY`, which wears off over `BUDGET`
  ticks: a series that does the same every day soon stops alerting. `strength` is the evidence without silence or wariness.

Residuals enter every update winsorised, so that an anomaly does not poison its own baseline. Values are held relative to a
reference that is moved when the level leaves it, so a series around 1e12 keeps its width. A value that is not finite, or beyond 1e30,
is a gap: the band is still given, nothing is learnt but that it lasts, and the first sample after a long one is no jump. A gap and a
value that does not move are one view, "stillness": a series that stops or freezes and never did before is an anomaly. A counter is read as increase per second, and a fall as a reset.
Samples are taken in the order they come, whatever their times say; of a counter, one that is not later than the last has no
increase and is left out, and one that is far earlier begins anew, because then the clock was put back.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.domain import BoolArray, FloatArray
from aiops.errors import DataError
from aiops.kernels.compiled import njit
from aiops.kernels.views import (
    BINS,
    BLOCK,
    BLOCKS,
    DRIFT,
    JUMP,
    RECALL,
    RESIDUAL,
    RING,
    SEASON,
    STILLNESS,
    VIEWS,
    Counts,
    Edges,
    Single,
    nearest,
    rarity,
    still,
    windows,
)

VERSION = 2  # of the arrays; whoever keeps them on disk refuses another
WARM = 60  # samples before a series is scored
ONSET = 2.0  # -log10 p at which a score is 1.0
WARY, BUDGET = 0.2, 2000.0  # what each alert adds to that, and the ticks in which it wears off
QUIET = 150  # ticks without a second alert, or a second notice
NOTICE, QUIETED = 0.84, 0.83  # the score that is worth a second look, and the most that silence leaves
ESCALATION = 1.0  # a tenth of the p-value breaks the silence
MEMORY = 2048  # values that the second tier remembers

_TERMS, _PACKED = 6, 21  # the regression, and the upper triangle of its inverse
_DAY_SLOTS, _NOISE_SLOTS, _WEEK_SLOTS, _DAY, _WEEK = 96, 48, 28, 86_400, 604_800
_MISS = 0.05  # nominal share of samples outside the band
_LEAST, _MOST = 1e-30, 1e30  # beyond these single precision ends
_RESUMED = 2.5  # steps without a sample after which the next one is no jump
_PUT_BACK = 10.0  # steps by which a counter's sample is earlier, beyond which the clock was put back

# Columns of `State.scalars`.
(
    _COUNT,
    _REF,
    _LEVEL,
    _SPREAD,
    _NEAR,
    _NEAR_SPREAD,
    _FAST,
    _SLOW,
    _WIDTH,
    _SKEW,
    _UP_FAST,
    _UP_SLOT,
    _LOW_FAST,
    _LOW_SLOT,
    _DRIFT,
    _SEASONAL,
    _RUN,
    _WARINESS,
    _TIME,
    _STEP,
    _RAW,
    _BLOCK_SUM,
    _SINCE,
    _FIRED,
    _SEASON_BEFORE,
    _LAG,
    _LAG2,
    _LAG3,
    _DAY_ERROR,
    _WEEK_ERROR,
) = range(30)
_SCALARS = 30


class State(NamedTuple):
    """Everything known of S series: 1,973 bytes each in the first tier (M = 0, V = 11), 18.5 kB in the second (M = 2048, V = 13).

    Rows are independent; `advance` changes the arrays in place.
    """

    scalars: FloatArray  # (S, 30)
    weights: FloatArray  # (S, 6) of the regression
    inverse: FloatArray  # (S, 21) its packed inverse covariance
    day: Single  # (S, 96) mean per slot of the day
    noise: Single  # (S, 48) mean |residual| per slot of the day
    week: Single  # (S, 28) deviation from the day's slot, per 6 hours of the week
    ring: Single  # (S, 48) last values
    blocks: Single  # (S, 16) means of the last blocks of 12 values
    counts: Counts  # (S, V, 21) histogram of each view, and its sum
    edges: Edges  # (S, V, 3) its lowest bin, its bins per octave, where its tail begins
    octave: Single  # (S, V) mean log2 of each view while its histogram is being placed
    memory: Single  # (S, 2, M) last values, and their means over 12
    counter: BoolArray  # (S,) read as increase per second

    @property
    def bytes_per_series(self) -> int:
        return sum(array.nbytes for array in self) // max(len(self.scalars), 1)


class Ticks(NamedTuple):
    """(S, T) arrays: what was expected of each point before it came, and how unusual it was."""

    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    score: FloatArray
    strength: FloatArray
    strongest: NDArray[np.int8]  # index into VIEWS + RECALL of the strongest view, -1 where nothing was scored


def fresh(series: int, counter: BoolArray | None = None, memory: int = 0) -> State:
    """State of `series` series that were never seen; `memory` = MEMORY makes it the second tier."""
    seen = len(VIEWS) + (len(RECALL) if memory else 0)
    state = State(
        np.zeros((series, _SCALARS)),
        np.zeros((series, _TERMS)),
        np.zeros((series, _PACKED)),
        np.full((series, _DAY_SLOTS), np.nan, np.float32),
        np.full((series, _NOISE_SLOTS), np.nan, np.float32),
        np.zeros((series, _WEEK_SLOTS), np.float32),
        np.zeros((series, RING), np.float32),
        np.zeros((series, BLOCKS), np.float32),
        np.zeros((series, seen, BINS + 1), np.uint16),
        np.zeros((series, seen, 3), np.int16),
        np.zeros((series, seen), np.float32),
        np.zeros((series, 2, memory), np.float32),
        np.zeros(series, np.bool_) if counter is None else np.array(counter, np.bool_),
    )
    state.weights[:, 0] = 1.0
    state.scalars[:, [_TIME, _RAW]] = np.nan
    state.scalars[:, _WIDTH] = math.log(2.5)
    state.scalars[:, [_UP_FAST, _LOW_FAST]] = 0.65
    state.scalars[:, [_UP_SLOT, _LOW_SLOT]] = 0.3
    state.scalars[:, _SINCE] = QUIET
    diagonal = np.cumsum([0, *range(_TERMS, 1, -1)])
    state.inverse[:, diagonal] = 0.03
    return state


def advance(state: State, times: NDArray[np.int64], values: FloatArray) -> Ticks:
    """Walk (S, T) `values` at `times` (T,) in epoch seconds, NaN = gap, changing `state`; O(S T), about a microsecond each."""
    if values.shape != (len(state.scalars), len(times)):
        raise DataError(
            f"values are {values.shape}, but the state holds {len(state.scalars)} series and {len(times)} times came"
        )
    mean, lower, upper = (np.full(values.shape, np.nan) for _ in range(3))
    score, strength = (np.zeros(values.shape) for _ in range(2))
    out = Ticks(mean, lower, upper, score, strength, np.full(values.shape, -1, np.int8))
    _advance(state, np.ascontiguousarray(times, np.int64), np.ascontiguousarray(values, np.float64), out)
    return out


def peek(state: State, time: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(mean, lower, upper), each (S,), expected at `time`; changes nothing."""
    copy = State._make(array.copy() for array in state)
    ticks = advance(copy, np.array([time], np.int64), np.full((len(state.scalars), 1), np.nan))
    return ticks.mean[:, 0], ticks.lower[:, 0], ticks.upper[:, 0]


def samples(state: State) -> FloatArray:
    """(S,) samples that each series has learnt from; below WARM it is not scored."""
    return state.scalars[:, _COUNT].copy()


def warming(state: State, series: int) -> str | None:
    """'warming: 37 of 60 samples', or None once the series is scored."""
    count = int(state.scalars[series, _COUNT])
    return f"warming: {count} of {WARM} samples" if count < WARM else None


@njit(cache=True, error_model="numpy")
def _advance(state: State, times: NDArray[np.int64], values: FloatArray, out: Ticks) -> None:
    terms, gain = np.empty(_TERMS), np.empty(_TERMS)
    seen = np.empty(state.counts.shape[1])
    for s in range(values.shape[0]):
        x, w = state.scalars[s], state.weights[s]
        day, noise, week = state.day[s], state.noise[s], state.week[s]
        ring, blocks = state.ring[s], state.blocks[s]
        for t in range(values.shape[1]):
            resumed = times[t] - x[_TIME] > _RESUMED * x[_STEP] > 0
            value = _arrival(x, state.counter[s], times[t], values[s, t])
            slot = times[t] % _DAY * _DAY_SLOTS // _DAY
            pair = slot // 2
            part = times[t] % _WEEK * _WEEK_SLOTS // _WEEK
            centre = _expect(x, w, day[slot], terms)
            spread, below, above = _band(x, noise[pair])
            if x[_COUNT] >= 2:
                out.mean[s, t] = x[_REF] + centre
                out.lower[s, t] = x[_REF] + centre - below
                out.upper[s, t] = x[_REF] + centre + above
            x[_RUN] = 0.0 if math.isfinite(value) and value - x[_REF] != x[_LAG] else x[_RUN] + 1.0
            if not math.isfinite(value):
                _absent(x, state.counts[s], state.edges[s], state.octave[s], s, t, out)
                continue
            if x[_COUNT] == 0:
                x[_REF] = value
            z = value - x[_REF]
            smooth = _look(x, noise[pair], _weekly(x, week[part]), ring, blocks, z, centre, terms, seen)
            if resumed:
                seen[JUMP] = 0.0
            if state.memory.shape[2]:
                _recall(state.memory[s], int(x[_COUNT]), z, smooth, seen)
            evidence, view = _rank(int(x[_COUNT]), state.counts[s], state.edges[s], state.octave[s], seen)
            out.strength[s, t], out.strongest[s, t] = evidence / ONSET, view
            out.score[s, t] = _silence(x, evidence)
            if x[_COUNT] > 0:
                _learn(x, w, state.inverse[s], noise, pair, z - centre, spread, below, above, terms, gain)
            _remember(x, day, week, blocks, slot, part, z)
            if abs(x[_LEVEL]) > 1e4 * x[_SPREAD] and x[_COUNT] % RING == 0:
                _rebase(x, day, ring, blocks, state.memory[s])


@njit(cache=True, error_model="numpy")
def _arrival(x: FloatArray, is_counter: bool, time: int, raw: float) -> float:
    """The value to learn from: NaN for a gap, the increase per second for a counter."""
    if not abs(raw) <= _MOST:
        return np.nan
    value, gone, before = raw, time - x[_TIME], float(x[_RAW])
    if is_counter and -_PUT_BACK * x[_STEP] <= gone <= 0:
        return np.nan
    x[_TIME], x[_RAW] = time, raw
    if gone > 0:
        x[_STEP] = gone if x[_STEP] == 0.0 else x[_STEP] + 0.1 * (min(gone, 2.0 * x[_STEP]) - x[_STEP])
    if is_counter:
        if not gone > 0:
            return np.nan
        value = (raw - before if raw >= before else raw) / gone
    return value


@njit(cache=True, error_model="numpy")
def _expect(x: FloatArray, w: FloatArray, seasonal: float, terms: FloatArray) -> float:
    """Centre relative to the reference, and the regression's terms."""
    level, last = x[_NEAR], x[_LAG]
    reach = 30.0 * x[_NEAR_SPREAD]
    terms[0] = min(max(last - level, -reach), reach)
    terms[1] = min(max(x[_LAG2] - level, -reach), reach)
    terms[2] = min(max(x[_LAG3] - level, -reach), reach)
    terms[3] = x[_NEAR_SPREAD] if x[_NEAR_SPREAD] > 0 else 1.0
    terms[4] = (seasonal if seasonal == seasonal else last) - level  # noqa: PLR0124 - NaN test
    terms[5] = x[_SEASON_BEFORE] - level
    centre = float(level)
    for j in range(_TERMS):
        centre += w[j] * terms[j]
    # A regression thrown off by a burst must not forecast beyond anything seen.
    if not abs(centre - last) <= 20.0 * (x[_NEAR_SPREAD] + x[_SPREAD]):
        centre = last
    return centre


@njit(cache=True, error_model="numpy")
def _weekly(x: FloatArray, deviation: float) -> float:
    """The week's deviation where it has lately forecast better than the day alone, else 0."""
    return deviation if x[_WEEK_ERROR] < 0.9 * x[_DAY_ERROR] else 0.0


@njit(cache=True, error_model="numpy")
def _ratios(x: FloatArray, held: float) -> tuple[float, float]:
    """log(fast / slow) and log(slot / slow) of the mean |residual|."""
    if not x[_SLOW] > 0:
        return 0.0, 0.0
    return math.log(max(x[_FAST] / x[_SLOW], 1e-3)), math.log(max(held / x[_SLOW], 1e-3)) if held > 0 else 0.0


@njit(cache=True, error_model="numpy")
def _band(x: FloatArray, own_noise: float) -> tuple[float, float, float]:
    """(spread of the residual, distance to the lower, to the upper bound)."""
    fast, own = _ratios(x, own_noise)
    # exp's argument is bounded: one burst must not open the band by more than e^7.
    above = min(x[_WIDTH] + x[_SKEW] + x[_UP_FAST] * fast + x[_UP_SLOT] * own, 7.0)
    below = min(x[_WIDTH] - x[_SKEW] + x[_LOW_FAST] * fast + x[_LOW_SLOT] * own, 7.0)
    return x[_SLOW], x[_SLOW] * math.exp(below), x[_SLOW] * math.exp(above)


@njit(cache=True, error_model="numpy")
def _floor(x: FloatArray) -> float:
    """The least scale that is told from rounding."""
    return float(0.01 * x[_SPREAD] + 1e-12 * abs(x[_REF]) + _LEAST)


@njit(cache=True, error_model="numpy")
def _look(
    x: FloatArray,
    own: float,
    weekly: float,
    ring: Single,
    blocks: Single,
    z: float,
    centre: float,
    terms: FloatArray,
    seen: FloatArray,
) -> float:
    """Fill `seen` with the magnitude of each view of this sample, zero before its history is long enough; the mean of 12."""
    count = int(x[_COUNT])
    unit = x[_SLOW] + _floor(x)
    clipped = min(max(z - centre, -10.0 * unit), 10.0 * unit) if count else 0.0
    x[_DRIFT] += (clipped - x[_DRIFT]) / 12.0
    own = own if own == own else x[_SPREAD]  # noqa: PLR0124 - NaN test
    off = terms[4] + x[_NEAR] + weekly
    pulled = (z - off) / (0.5 * own + 0.5 * x[_SPREAD] + _floor(x)) if count else 0.0
    x[_SEASONAL] += (min(max(pulled, -10.0), 10.0) - x[_SEASONAL]) / 12.0
    seen[JUMP] = abs(z - x[_LAG]) if count else 0.0
    seen[RESIDUAL] = abs(z - centre) if count else 0.0
    seen[DRIFT] = abs(x[_DRIFT]) / unit
    seen[SEASON] = abs(x[_SEASONAL])
    seen[STILLNESS] = still(x[_RUN])
    ring[count % RING] = z
    return float(windows(ring, blocks, count, x[_SPREAD], seen))


@njit(cache=True, error_model="numpy")
def _recall(memory: Single, count: int, z: float, smooth: float, seen: FloatArray) -> None:
    """Views of the second tier: this sample's window, and its smoothed course of 36 ticks, against all that is remembered."""
    place = count % memory.shape[1]
    memory[0, place], memory[1, place] = z, smooth
    seen[len(VIEWS)] = nearest(memory[0], count, 12, 1, 12)
    seen[len(VIEWS) + 1] = nearest(memory[1], count, 6, 6, 48)


@njit(cache=True, error_model="numpy")
def _rank(count: int, counts: Counts, edges: Edges, octave: Single, seen: FloatArray) -> tuple[float, int]:
    """(-log10 of the harmonic mean of the views' tail probabilities, the strongest view)."""
    total, best, which = 0.0, 0.0, -1
    for j in range(len(seen)):
        odds = rarity(count, counts, edges, octave, j, seen[j])
        total += odds
        if odds > best:
            best, which = odds, j
    if count < WARM:
        return 0.0, -1
    return math.log10(total / len(seen)), which


@njit(cache=True, error_model="numpy")
def _absent(x: FloatArray, counts: Counts, edges: Edges, octave: Single, s: int, t: int, out: Ticks) -> None:
    """Score a tick that brought no value by the one view that sees it."""
    if x[_COUNT] < WARM or not still(x[_RUN]) > 0:
        return
    views = counts.shape[0]
    odds = rarity(int(x[_COUNT]), counts, edges, octave, STILLNESS, still(x[_RUN]))
    evidence = math.log10((odds + views - 1.0) / views)
    out.strength[s, t], out.strongest[s, t] = evidence / ONSET, STILLNESS
    out.score[s, t] = _silence(x, evidence)


@njit(cache=True, error_model="numpy")
def _silence(x: FloatArray, evidence: float) -> float:
    """The evidence over what an alert takes where an alert or a notice begins, else what stays below both."""
    x[_SINCE] += 1.0
    x[_WARINESS] = max(x[_WARINESS] - WARY / BUDGET, 0.0)
    score = evidence / (ONSET + x[_WARINESS])
    if score < NOTICE:
        return float(score)
    alert, over, noticed = score >= 1.0, x[_SINCE] >= QUIET, x[_FIRED] < 0.0
    if not (over or (alert and noticed) or evidence >= abs(x[_FIRED]) + ESCALATION):
        return QUIETED
    if alert and (over or noticed):
        x[_WARINESS] += WARY
    x[_SINCE], x[_FIRED] = 0.0, evidence if alert else -evidence
    return float(score)


@njit(cache=True, error_model="numpy")
def _learn(
    x: FloatArray,
    w: FloatArray,
    inverse: FloatArray,
    noise: Single,
    pair: int,
    residual: float,
    spread: float,
    below: float,
    above: float,
    terms: FloatArray,
    gain: FloatArray,
) -> None:
    """Move width, scales and regression by one residual."""
    count = x[_COUNT]
    if count >= 4:
        high, low = 1.0 if residual > above else 0.0, 1.0 if residual < -below else 0.0
        fast, own = _ratios(x, noise[pair])
        x[_WIDTH] += 0.2 * (high + low - _MISS)
        x[_SKEW] += 0.02 * (high - low)
        x[_UP_FAST] += 0.005 * (high - _MISS / 2) * fast
        x[_UP_SLOT] += 0.005 * (high - _MISS / 2) * own
        x[_LOW_FAST] += 0.005 * (low - _MISS / 2) * fast
        x[_LOW_SLOT] += 0.005 * (low - _MISS / 2) * own
    if count > 10 and spread > 0:
        residual = min(max(residual, -25.0 * spread), 25.0 * spread)
    size, young = abs(residual), 1.0 / (count + 1.0)
    x[_FAST] += max(0.3, young) * (size - x[_FAST])
    x[_SLOW] += max(0.015, young) * (size - x[_SLOW])
    held = noise[pair]
    noise[pair] = held + 0.1 * (size - held) if held == held else 0.5 * (size + x[_SLOW])  # noqa: PLR0124 - NaN test
    if x[_SLOW] > _LEAST:
        _regress(w, inverse, residual / x[_SLOW], 1.0 / x[_SLOW], terms, gain)


@njit(cache=True, error_model="numpy")
def _regress(
    w: FloatArray, inverse: FloatArray, residual: float, scale: float, terms: FloatArray, gain: FloatArray
) -> None:
    """One step of recursive least squares in units of the noise."""
    trace, k = 0.0, 0
    for r in range(_TERMS):
        gain[r] = 0.0
    for r in range(_TERMS):
        trace += inverse[k]
        gain[r] += inverse[k] * terms[r] * scale
        for c in range(r + 1, _TERMS):
            gain[r] += inverse[k + c - r] * terms[c] * scale
            gain[c] += inverse[k + c - r] * terms[r] * scale
        k += _TERMS - r
    # Without excitation forgetting would blow the inverse up; a bounded trace stops forgetting instead.
    forget = 0.999 if trace < 10.0 * _TERMS else 1.0
    power = forget
    for r in range(_TERMS):
        power += terms[r] * scale * gain[r]
    if not 0 < power < _MOST:
        return
    k = 0
    for r in range(_TERMS):
        w[r] += gain[r] / power * residual
        for c in range(r, _TERMS):
            inverse[k] = (inverse[k] - gain[r] * gain[c] / power) / forget
            k += 1


@njit(cache=True, error_model="numpy")
def _remember(x: FloatArray, day: Single, week: Single, blocks: Single, slot: int, part: int, z: float) -> None:
    """Shift the lags, and move levels, slots and blocks."""
    count = int(x[_COUNT])
    young = 1.0 / (count + 1.0)
    x[_LAG3] = x[_LAG2] if count > 1 else z
    x[_LAG2] = x[_LAG] if count else z
    x[_LAG] = z
    reach = 25.0 * x[_SLOW] + 5.0 * x[_SPREAD]  # what a sample may pull a slot or the level by
    held = day[slot]
    if held == held:  # noqa: PLR0124 - NaN test
        x[_SEASON_BEFORE] = held
        off = min(max(z - held, -reach), reach)
        x[_DAY_ERROR] += 0.005 * (abs(off) - x[_DAY_ERROR])
        x[_WEEK_ERROR] += 0.005 * (abs(off - week[part]) - x[_WEEK_ERROR])
        week[part] += 0.1 * (off - week[part])
        day[slot] = held + 0.2 * off
    else:
        x[_SEASON_BEFORE] = z
        day[slot] = z
    x[_NEAR] += max(0.02, young) * (z - x[_NEAR])
    x[_NEAR_SPREAD] += max(0.02, young) * (abs(z - x[_NEAR]) - x[_NEAR_SPREAD])
    off = z - x[_LEVEL]
    if count > 10:
        off = min(max(off, -reach), reach)
    x[_LEVEL] += max(0.005, young) * off
    x[_SPREAD] += max(0.005, young) * (abs(off) - x[_SPREAD])
    if count % BLOCK == 0:
        x[_BLOCK_SUM] = 0.0
    x[_BLOCK_SUM] += z
    blocks[count // BLOCK % BLOCKS] = x[_BLOCK_SUM] / (count % BLOCK + 1)
    x[_COUNT] = count + 1.0


@njit(cache=True, error_model="numpy")
def _rebase(x: FloatArray, day: Single, ring: Single, blocks: Single, memory: Single) -> None:
    """Move the reference to the level, so that single precision keeps the digits that vary."""
    by = x[_LEVEL]
    x[_REF] += by
    for j in (_LEVEL, _NEAR, _LAG, _LAG2, _LAG3, _SEASON_BEFORE):
        x[j] -= by
    x[_BLOCK_SUM] -= by * (x[_COUNT] % BLOCK)
    for j in range(_DAY_SLOTS):
        day[j] -= by
    for j in range(RING):
        ring[j] -= by
    for j in range(BLOCKS):
        blocks[j] -= by
    for j in range(memory.shape[1]):
        memory[0, j] -= by
        memory[1, j] -= by
