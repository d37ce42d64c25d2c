"""The band of a report: from the baseline alone, with what it covered there."""

from __future__ import annotations

import numpy as np
import pytest

from aiops.domain import NS, BoolArray, FloatArray, IntArray
from aiops.stages.expected import expected

MINUTE = 60 * NS


def series(rows: int, noticed: int, seed: int = 0) -> tuple[IntArray, FloatArray, BoolArray]:
    times = (1_700_000_000 * NS) // MINUTE * MINUTE + np.arange(rows, dtype=np.int64) * MINUTE
    values = 10 + np.random.default_rng(seed).normal(size=rows)
    return times, values, np.arange(rows) >= noticed


@pytest.mark.parametrize("jump", [0.0, 50.0, np.nan])
def test_the_incident_changes_nothing_that_was_expected(jump: float) -> None:
    times, values, incident = series(200, 180)
    before = expected(times, values, incident, (7.0, 13.0))
    values[incident] += jump
    after = expected(times, values, incident, (7.0, 13.0))
    np.testing.assert_array_equal(before.lower, after.lower)
    np.testing.assert_array_equal(before.upper, after.upper)
    assert before.caption == after.caption


def test_calm_is_covered_and_a_fault_is_not() -> None:
    shares = []
    for seed in range(20):
        times, values, incident = series(200, 185, seed)
        band = expected(times, values, incident, (7.0, 13.0))
        shares.append(((values >= band.lower) & (values <= band.upper))[60:].mean())
        assert not (
            (values[incident] + 30 >= band.lower[incident]) & (values[incident] + 30 <= band.upper[incident])
        ).any()
    assert 0.92 <= np.mean(shares) <= 0.995


def test_the_caption_says_how_and_what_it_covered() -> None:
    caption = expected(*series(200, 180), (7.0, 13.0)).caption
    assert caption.startswith("Expected range: forecast from the baseline; tried on the 20 samples before, it held ")
    assert "warming" not in caption


def test_a_short_history_says_that_it_is_warming() -> None:
    band = expected(*series(42, 37), (7.0, 13.0))
    assert band.caption.endswith("(warming: 37 of 60 samples)")
    assert set(band.lower[:37]) == {7.0}
    assert band.lower[37] != 7.0


def test_a_baseline_of_another_time_gives_its_robust_range() -> None:
    times, values, incident = series(200, 180)
    times[incident] += 1_000_000 * NS
    band = expected(times, values, incident, (7.0, 13.0))
    assert set(band.lower) == {7.0}
    assert set(band.upper) == {13.0}
    inside = ((values >= 7) & (values <= 13))[~incident].mean()
    assert f"robust range of the baseline; it held {inside:.0%} of it" in band.caption


def test_a_band_that_did_not_hold_is_not_drawn() -> None:
    times, values, incident = series(200, 180)
    values[165:180] += 80
    assert "robust range" in expected(times, values, incident, (7.0, 13.0)).caption


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("noticed", [0, 1, 5])
def test_hardly_any_samples_are_no_failure(rows: int, noticed: int) -> None:
    times, values, incident = series(rows, noticed)
    band = expected(times, values, incident, (7.0, 13.0))
    assert band.lower.shape == band.upper.shape == (rows,)
    assert band.caption
    assert expected(times, np.full(rows, np.nan), incident, (7.0, 13.0)).caption
