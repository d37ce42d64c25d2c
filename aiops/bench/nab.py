"""The standard profile of the Numenta Anomaly Benchmark, from its published formula.

A. Lavin and S. Ahmad, Evaluating Real-Time Anomaly Detection Algorithms, 2015; S. Ahmad et al., Neurocomputing 262, 2017.

A detection inside a window counts once, the earliest: sigma(y) / sigma(-1) with sigma(y) = 2 / (1 + e^(5y)) - 1 and y running from -1
at the window's first row towards 0 at its last. A missed window costs 1. A detection outside costs .11 |sigma(y)|, y the distance to
the last window's end in windows, and .11 where there was none before or y > 3. The first 15 % of a file, at most 750 rows, count
nothing. Over all files the sum is scaled so that no detection at all is 0 and the first row of every window is 100.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aiops.domain import FloatArray, IntArray

FALSE_POSITIVE = 0.11
PROBATION, PROBATION_ROWS = 0.15, 750

Window = tuple[int, int]  # first and last row, both inside


class Score(NamedTuple):
    value: float  # 0 = silent, 100 = perfect; may be negative
    threshold: float


class _Points(NamedTuple):
    """Every row that counts, over all files: its score, what detecting it is worth, and its window (-1 = none)."""

    scores: FloatArray
    worth: FloatArray
    window: IntArray
    windows: int


def sigma(y: float) -> float:
    """The scaled sigmoid; -1 beyond 3."""
    return -1.0 if y > 3 else 2 / (1 + math.exp(5 * y)) - 1


def optimised(files: Sequence[tuple[FloatArray, Sequence[Window]]]) -> Score:
    """The score at the threshold that is best over all files together, as NAB's own protocol chooses it. O(n log n)."""
    points = _points(files)
    order = np.argsort(-points.scores, kind="stable")
    scores = points.scores[order]
    gains = _gains(points.worth[order], points.window[order])
    totals = np.concatenate([[0.0], np.cumsum(gains)])
    cut = np.ones(len(totals), bool)
    cut[1:-1] = scores[1:] < scores[:-1]  # a threshold cannot part equal scores
    best = int(np.flatnonzero(cut)[np.argmax(totals[cut])])
    return Score(_scaled(totals[best], points.windows), float(scores[best - 1]) if best else math.inf)


def fixed(files: Sequence[tuple[FloatArray, Sequence[Window]]], threshold: float = 1.0) -> Score:
    """The score where a row with `threshold` or more is a detection."""
    points = _points(files)
    found = points.scores >= threshold
    return Score(_scaled(_gains(points.worth[found], points.window[found]).sum(), points.windows), threshold)


def _scaled(gain: float, windows: int) -> float:
    """From the gain over a silent detector to NAB's scale: every window is worth from -1 to 1."""
    return 100 * float(gain) / (2 * windows) if windows else math.nan


def _gains(worth: FloatArray, window: IntArray) -> FloatArray:
    """What each detection adds to those before it: all of its worth outside, its improvement inside a window."""
    gains = worth.copy()
    held: dict[int, float] = {}
    for k in np.flatnonzero(window >= 0).tolist():
        before = held.get(int(window[k]), -1.0)
        gains[k] = max(worth[k] - before, 0.0)
        held[int(window[k])] = max(worth[k], before)
    return gains


def _points(files: Sequence[tuple[FloatArray, Sequence[Window]]]) -> _Points:
    parts, windows = [], 0
    for scores, spans in files:
        worth, window = worths(len(scores), spans)
        counts = np.arange(len(scores)) >= min(int(PROBATION * len(scores)), PROBATION_ROWS)
        parts.append((scores[counts], worth[counts], np.where(window >= 0, window + windows, -1)[counts]))
        windows += len(spans)
    scored, worthy, placed = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return _Points(scored, worthy, placed, windows)


def worths(rows: int, windows: Sequence[Window]) -> tuple[FloatArray, IntArray]:
    """(what detecting each row is worth, the window it lies in or -1) for one file with windows in order of time."""
    worth, inside = np.full(rows, -FALSE_POSITIVE), np.full(rows, -1, np.int64)
    for k, (first, last) in enumerate(windows):
        width = last - first + 1
        inside[first : last + 1] = k
        worth[first : last + 1] = [sigma(-(last - row + 1) / width) / sigma(-1.0) for row in range(first, last + 1)]
        until = windows[k + 1][0] if k + 1 < len(windows) else rows
        after = range(last + 1, until)
        worth[last + 1 : until] = [FALSE_POSITIVE * sigma((row - last) / max(width - 1, 1)) for row in after]
    return worth, inside
