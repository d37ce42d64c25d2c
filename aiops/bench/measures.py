"""Measures of detection and of bands over one series. None adjusts points: a random score must not look good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aiops.bench.nab import Window
from aiops.domain import BoolArray, FloatArray

NOMINAL = 0.95
_BUFFERS = (0, 6, 12, 18, 24)  # rows by which VUS widens the labels
_THRESHOLDS = 200


class Events(NamedTuple):
    """Counts over alerts (runs of rows at or above the threshold) and windows."""

    alerts: int
    true_alerts: int
    windows: int
    found: int


def runs(flags: BoolArray) -> list[Window]:
    """First and last row of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def events(scores: FloatArray, windows: Sequence[Window], threshold: float = 1.0) -> Events:
    """An alert is true where it overlaps a window, a window is found where an alert overlaps it."""
    alerts = runs(scores >= threshold)
    true = sum(any(a <= last and first <= b for first, last in windows) for a, b in alerts)
    found = sum(any(a <= last and first <= b for a, b in alerts) for first, last in windows)
    return Events(len(alerts), true, len(windows), found)


def vus_pr(scores: FloatArray, windows: Sequence[Window]) -> float:
    """Volume under the precision-recall surface over label buffers of 0 to 24 rows; NaN without windows.

    J. Paparrizos et al., Volume Under the Surface, VLDB 2022: labels fall off as sqrt(1 - d / buffer) outside a window, recall is
    weighted by the share of windows that were touched.
    """
    if not windows:
        return math.nan
    levels = np.unique(np.quantile(scores, np.linspace(1, 0, _THRESHOLDS)))[::-1]
    return float(np.mean([_area(scores, windows, buffer, levels) for buffer in _BUFFERS]))


def _area(scores: FloatArray, windows: Sequence[Window], buffer: int, levels: FloatArray) -> float:
    labels, spans = _soft(len(scores), windows, buffer)
    positives = (sum(last - first + 1 for first, last in windows) + labels.sum()) / 2
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([[0.0], np.cumsum(labels[order])])
    taken = np.searchsorted(-scores[order], -levels, side="right")
    peaks = np.sort([scores[first : last + 1].max() for first, last in spans])
    touched = (len(peaks) - np.searchsorted(peaks, levels, side="left")) / len(peaks)
    recall = np.minimum(hits[taken] / positives, 1.0) * touched
    precision = hits[taken] / np.maximum(taken, 1)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def _soft(rows: int, windows: Sequence[Window], buffer: int) -> tuple[FloatArray, list[Window]]:
    labels, spans = np.zeros(rows), []
    for first, last in windows:
        labels[first : last + 1] = 1.0
        for d in range(1, buffer // 2 + 1):
            for row in (first - d, last + d):
                if 0 <= row < rows:
                    labels[row] = max(labels[row], math.sqrt(1 - d / buffer))
        spans.append((max(first - buffer // 2, 0), min(last + buffer // 2, rows - 1)))
    return labels, spans


def coverage(values: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Share of the finite values inside their band; a missing or infinite band is a miss."""
    real = np.isfinite(values)
    inside = np.isfinite(lower) & np.isfinite(upper) & (values >= lower) & (values <= upper)
    return float(inside[real].mean())


def tolerance(points: int) -> float:
    """How far the coverage of so many points may lie from nominal: two standard errors, at least a hundredth."""
    return max(0.01, 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / points))


def interval_score(values: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Mean interval score (Gneiting and Raftery, 2007), MSIS without its scale; inf where a band is missing or infinite."""
    real = np.isfinite(values)
    v, low, high = values[real], lower[real], upper[real]
    if not (np.isfinite(low) & np.isfinite(high)).all():
        return math.inf
    beyond = np.maximum(low - v, 0) + np.maximum(v - high, 0)
    return float(np.mean(high - low + 2 / (1 - NOMINAL) * beyond))
