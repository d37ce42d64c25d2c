"""Measures that a lucky or a random score cannot flatter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiops.bench import measures

WINDOWS = [(100, 119), (300, 309)]


def test_events_count_alerts_and_windows_once() -> None:
    scores = np.zeros(500)
    scores[[105, 106, 110, 400]] = 1.0
    assert measures.events(scores, WINDOWS) == measures.Events(alerts=3, true_alerts=2, windows=2, found=1)


def test_vus_is_one_for_the_labels_themselves_without_buffer_and_small_for_noise() -> None:
    perfect = np.zeros(500)
    for first, last in WINDOWS:
        perfect[first : last + 1] = 1.0
    noise = np.random.default_rng(0).random(500)
    assert measures.vus_pr(perfect, WINDOWS) > 0.8
    assert measures.vus_pr(noise, WINDOWS) < 0.25
    assert math.isnan(measures.vus_pr(noise, []))


def test_a_missing_or_infinite_band_is_a_miss() -> None:
    values, lower, upper = np.ones(4), np.zeros(4), np.full(4, 2.0)
    lower[0], upper[1] = np.nan, np.inf
    assert measures.coverage(values, lower, upper) == 0.5
    assert measures.interval_score(values, lower, upper) == math.inf


def test_the_interval_score_by_hand() -> None:
    values = np.array([0.5, 3.0, np.nan])
    score = measures.interval_score(values, np.zeros(3), np.ones(3))
    assert score == pytest.approx((1 + 1 + 40 * 2) / 2)


def test_the_tolerance_narrows_to_a_hundredth() -> None:
    assert measures.tolerance(360) == pytest.approx(2 * math.sqrt(0.0475 / 360))
    assert measures.tolerance(100_000) == 0.01
