"""Many steps ahead: the band covers what it says, and is narrower than the naive one where there is something to know."""

from __future__ import annotations

import numpy as np
import pytest

from aiops.domain import FloatArray
from aiops.kernels.ahead import ahead

DAY, HORIZON = 24, 48


def daily(days: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    wave = 10 * np.sin(2 * np.pi * np.arange(days * DAY) / DAY)
    return 100 + wave + rng.normal(size=days * DAY)


def covered(series: FloatArray) -> float:
    inside = []
    for origin in range(20 * DAY, len(series) - HORIZON, 31):
        course = ahead(series[:origin], DAY, HORIZON)
        came = series[origin : origin + HORIZON]
        inside.append((came >= course.lower) & (came <= course.upper))
    return float(np.mean(inside))


@pytest.mark.parametrize("seed", range(3))
def test_the_band_covers_a_daily_wave_in_noise(seed: int) -> None:
    assert 0.93 <= covered(daily(60, seed)) <= 0.995


@pytest.mark.parametrize("seed", range(3))
def test_the_band_covers_a_random_walk(seed: int) -> None:
    assert covered(np.random.default_rng(seed).normal(size=60 * DAY).cumsum()) >= 0.85


def test_the_wave_is_followed() -> None:
    series = daily(40, 1)
    course = ahead(series[:-HORIZON], DAY, HORIZON)
    assert np.abs(course.mean - series[-HORIZON:]).mean() < 1.2
    assert (course.upper - course.lower).mean() < 8


def test_scale_and_offset_only_move_it() -> None:
    series = daily(30, 2)
    plain, moved = ahead(series, DAY, HORIZON), ahead(series * 1e-9 + 3e-5, DAY, HORIZON)
    for a, b in zip(plain, moved, strict=True):
        np.testing.assert_allclose(b, a * 1e-9 + 3e-5, rtol=1e-6)


def test_a_constant_stays() -> None:
    course = ahead(np.full(300, 5.0), DAY, HORIZON)
    for part in course:
        np.testing.assert_allclose(part, np.full(HORIZON, 5.0), rtol=1e-12)


def test_gaps_are_no_values() -> None:
    series = daily(30, 3)
    holed = series.copy()
    holed[::7] = np.nan
    whole, part = ahead(series, DAY, HORIZON), ahead(holed, DAY, HORIZON)
    assert np.isfinite(part.upper).all()
    assert np.abs(whole.mean - part.mean).max() < 3


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 40, 60, 100])
@pytest.mark.parametrize("season", [1, 24, 288])
def test_any_length_of_history_is_answered_or_left_open(length: int, season: int) -> None:
    course = ahead(np.random.default_rng(0).normal(size=length), season, HORIZON)
    assert all(part.shape == (HORIZON,) for part in course)
    assert np.isfinite(course.mean).all() == (length >= 3)
    band = np.isfinite(course.lower)
    assert (band == np.isfinite(course.upper)).all()
    assert (course.lower[band] <= course.upper[band]).all()
    assert length < 2 * HORIZON or band.any() or season == 288
