"""Forecasts: no method looks ahead, bands hold what they say, and what can't be trusted is said not to be."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from aiops.domain import FloatArray, Forecast
from aiops.kernels import toeplitz
from aiops.stages.forecast import choice, fitted, methods
from aiops.stages.forecast.backtest import band, ground, try_out
from aiops.stages.forecast.choice import FALLBACK, Asked, forecast
from aiops.stages.forecast.crossing import crossing, limit_of
from aiops.stages.forecast.words import chart, summary

DAY, HORIZON, STEP_S = 24, 12, 3600
SOME, ALL = 1_000.0, 60_000.0  # milliseconds of work: the quick methods, every one


def daily(days: int, seed: int, slope: float = 0.0) -> FloatArray:
    rng = np.random.default_rng(seed)
    steps = np.arange(days * DAY)
    return 100 + slope * steps + 10 * np.sin(2 * np.pi * steps / DAY) + rng.normal(size=days * DAY)


def told(values: FloatArray, *, metric: str = "load", full_at: float | None = None, work: float = SOME) -> Forecast:
    times = tuple(int(STEP_S * k) for k in range(len(values)))
    asked = Asked(HORIZON, STEP_S, full_at, work)
    return forecast({"__name__": metric, "service": "a"}, "a", metric, times, values, asked, lambda: None)


# ---------------------------------------------------------------- the methods


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.name)
def test_no_method_looks_ahead(method: methods.Method) -> None:
    """What comes after an origin changes nothing that is said at it or before it."""
    history = daily(30, 1)
    origins = np.array([500, 503, 560, 600, 690], np.int64)
    said = method.said(history, origins, DAY, HORIZON)
    assert said.shape == (5, HORIZON)
    assert np.isfinite(said).all()
    for k, origin in enumerate(origins[:-1]):
        other = history.copy()
        other[origin + 1 :] = 1e4
        np.testing.assert_array_equal(method.said(other, origins, DAY, HORIZON)[: k + 1], said[: k + 1])


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.name)
def test_every_method_beats_a_guess_on_a_daily_wave(method: methods.Method) -> None:
    history = daily(30, 2)
    origins = np.arange(500, 690, 10)
    came = np.stack([history[o + 1 : o + 1 + HORIZON] for o in origins])
    error = np.abs(method.said(history, origins, DAY, HORIZON) - came).mean()
    flat = {"last value", "drift"}  # which know no season
    assert error < (14 if method.name in flat else 3)


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.name)
def test_a_constant_stays_and_scale_only_moves_it(method: methods.Method) -> None:
    origins = np.array([500, 640], np.int64)
    np.testing.assert_allclose(method.said(np.full(720, 5.0), origins, DAY, HORIZON), 5.0, rtol=1e-9)
    history = daily(30, 3)
    plain = method.said(history, origins, DAY, HORIZON)
    moved = method.said(history * 1e9 + 3e12, origins, DAY, HORIZON)
    # A fit stops within a tolerance, and trees split between rounded values.
    np.testing.assert_allclose((moved - 3e12) / 1e9, plain, atol=0.5)


def test_ets_is_that_of_statsmodels() -> None:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    history = daily(30, 4)
    centre, unit = history.mean(), history.std()
    scaled = (history - centre) / unit
    start = fitted._initial(scaled, DAY)
    shape = {"error": "add", "trend": "add", "damped_trend": True, "seasonal": "add", "seasonal_periods": DAY}
    model = ETSModel(scaled, **shape, initialization_method="known", **start).fit(disp=0, maxiter=60)
    said = fitted.ets(history, np.array([len(history) - 1]), DAY, 50)[0]
    np.testing.assert_allclose(said, centre + unit * model.forecast(50), rtol=1e-9)


def test_components_are_those_of_statsmodels() -> None:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    history = daily(20, 5)
    centre, unit = history.mean(), history.std()
    shape = {"level": "local linear trend", "freq_seasonal": [{"period": DAY, "harmonics": fitted.HARMONICS}]}
    with fitted._quiet():
        model = UnobservedComponents((history - centre) / unit, **shape).fit(disp=0, maxiter=30)
    said = fitted.components(history, np.array([len(history) - 1]), DAY, 30)[0]
    np.testing.assert_allclose(said, centre + unit * model.forecast(30), rtol=1e-8)


def test_the_likelihood_and_the_weights_are_those_of_the_full_matrix() -> None:
    from scipy.linalg import toeplitz as matrix
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(6)
    covariance = fitted._covariance(np.log([0.5, 20.0, 0.3, 4.0, 0.4, 0.6, 0.1]), DAY, 130)
    values = rng.normal(size=120)
    expected = multivariate_normal(np.zeros(120), matrix(covariance[:120])).logpdf(values)
    assert toeplitz.log_likelihood(covariance, values) == pytest.approx(expected, rel=1e-9)
    whole = matrix(covariance)
    weights = whole[120:, :120] @ np.linalg.inv(whole[:120, :120])
    np.testing.assert_allclose(toeplitz.predictor(covariance, 120, 10), weights, rtol=1e-6, atol=1e-9)
    assert toeplitz.log_likelihood(np.array([0.0, 0.0]), values[:2]) == -math.inf


@pytest.mark.parametrize("seed", range(3))
def test_window_features_are_those_of_tsfresh(seed: int) -> None:
    """By its own extraction, name by name, to 1e-9."""
    import pandas as pd
    from tsfresh import extract_features
    from tsfresh.feature_extraction.settings import from_columns

    values = np.random.default_rng(seed).normal(1e3, 5, 200).cumsum()
    own = told(values).features
    asked = from_columns([f"v__{name}" for name in own])["v"]
    frame = pd.DataFrame({"id": 0, "time": np.arange(200), "v": values})
    found = extract_features(
        frame, column_id="id", column_sort="time", default_fc_parameters=asked, disable_progressbar=True, n_jobs=0
    )
    assert len(own) > 15
    for name, value in own.items():
        assert value == pytest.approx(float(found[f"v__{name}"].iloc[0]), rel=1e-9), name


# ---------------------------------------------------------------- bands and choice


def test_the_bands_hold_what_they_say() -> None:
    inside = []
    for seed in range(6):
        series = daily(45, seed)
        for cut in (30, 44):
            one = told(series[: cut * DAY], work=700.0)
            came = series[cut * DAY : cut * DAY + HORIZON]
            inside.append((came >= one.lower) & (came <= one.upper))
    assert 0.9 <= np.mean(inside) <= 1.0


def test_a_band_rests_only_on_misses_that_were_known() -> None:
    missed = np.full((40, 6), 1.0)
    missed[-3:] = 100.0
    age = np.arange(40, 0, -1)
    low, high = band(missed, age)
    assert (low == 0.0).all()
    missed[-3:, 3:] = 1e9  # of the last three origins no miss so many steps ahead is known yet
    assert band(missed, age)[1] == pytest.approx(high)
    assert np.isnan(band(missed[:0], age[:0])[1]).all()


def test_the_card_tells_every_method_and_which_won() -> None:
    one = told(daily(30, 7), work=ALL)
    assert [trial.method for trial in one.trials] == [method.name for method in methods.METHODS]
    tried = {t.method: t for t in one.trials if not t.why_not}
    assert one.method in tried
    assert one.trusted
    assert not one.reason
    best = tried[one.method]
    assert one.coverage == best.coverage
    naive = min(tried[name].mase or 0 for name in choice.NAIVE)
    for other in tried.values():
        if (other.mase or 0) > choice.WORST_ERROR * naive or (other.coverage or 0) < choice.LEAST_COVERAGE:
            continue
        assert (best.mase or 0) * (best.msis or 0) <= (other.mase or 0) * (other.msis or 0)
        assert other.origins >= choice.LEAST_JUDGED
    assert one.season_s == 86_400
    assert one.samples == 30 * DAY
    assert one.lower[0] <= one.mean[0] <= one.upper[0]


def test_what_the_budget_does_not_hold_is_said() -> None:
    one = told(daily(30, 8), work=500.0)
    untried = {t.method: t.why_not for t in one.trials if t.why_not}
    assert "unobserved components" in untried
    assert "budget" in untried["unobserved components"]
    assert one.trusted


def test_without_the_extra_the_rest_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"statsmodels", "sklearn", "tsfresh", "pandas", "scipy"}
    monkeypatch.setattr(methods, "find_spec", lambda name: None if name in gone else object())
    one = told(daily(30, 9), work=ALL)
    untried = {t.method: t.why_not for t in one.trials if t.why_not}
    assert set(untried) == {m.name for m in methods.METHODS if m.needs}
    assert all("pip install '.[forecast]'" in why for why in untried.values())
    assert one.trusted


@pytest.mark.parametrize("length", [1, 2, 5, 11, 13, 20, 30, 60])
def test_too_short_a_history_is_not_trusted_or_well_tested(length: int) -> None:
    one = told(daily(10, 10)[:length])
    if not one.trusted:
        assert one.reason
        assert one.method == FALLBACK
        assert one.coverage is None
    else:
        assert length >= 30
    assert len(one.mean) == len(one.lower) == len(one.upper) == HORIZON
    assert all(low <= high for low, high in zip(one.lower, one.upper, strict=True))


def test_cold_start_tells_how_far_it_is() -> None:
    assert told(daily(1, 11)[:7]).reason == "only 7 of at least 12 samples: still warming up"


def test_a_series_that_fell_silent_is_not_trusted() -> None:
    values = daily(30, 12)
    values[-8:] = np.nan
    one = told(values)
    assert not one.trusted
    assert "no sample for the last 8 steps" in one.reason
    assert one.gaps == 8


def test_a_series_that_left_its_past_is_not_trusted() -> None:
    values = daily(30, 13)
    values[-HORIZON:] *= np.where(np.arange(HORIZON) % 2, 5, -3)
    one = told(values)
    assert not one.trusted
    assert "left its past" in one.reason


def test_gaps_are_counted_and_no_values() -> None:
    values = daily(30, 14)
    values[::9] = np.nan
    one = told(values)
    assert one.trusted
    assert one.gaps == np.isnan(values).sum() - 1  # the first is before the series begins
    assert abs(one.mean[0] - told(daily(30, 14)).mean[0]) < 4


def test_what_was_never_negative_is_not_expected_to_be() -> None:
    values = np.maximum(np.random.default_rng(15).normal(0.5, 1, 30 * DAY), 0)
    assert min(told(values).lower) == 0.0
    assert min(told(values - 5).lower) < -4


def test_the_backtest_of_noise_tells_the_truth() -> None:
    values = np.random.default_rng(16).normal(size=40 * DAY)
    on = ground(values, 1, HORIZON)
    tried = try_out(methods.METHODS[1], on)
    assert 0.9 <= tried.coverage <= 1.0
    assert on.judged.max() < len(on.origins)
    assert (on.origins[on.judged] + HORIZON < len(values)).all()


# ---------------------------------------------------------------- when will it be full


def test_a_filling_disk_is_full_in_an_interval_that_holds_the_truth() -> None:
    rng = np.random.default_rng(17)
    steps = np.arange(24 * DAY)
    used = 97.5 - (20 * DAY - steps) * 0.25 * 0.4 + rng.normal(0, 0.1, len(steps))  # 0.1 an hour
    one = told(used[: 20 * DAY], metric="disk_used_percent", full_at=98.0)
    found = one.crossing
    assert found is not None
    assert not found.falling
    assert one.trusted
    truth = datetime.fromtimestamp(STEP_S * (20 * DAY + 5), tz=UTC)
    assert found.earliest is not None
    assert found.latest is not None
    assert found.expected is not None
    assert found.earliest <= truth <= found.latest
    assert found.earliest <= found.expected <= found.latest


def test_what_is_left_runs_out_downwards() -> None:
    times, lower, upper = tuple(range(0, 40, 10)), np.array([3.0, 0.0, 0.0, 0.0]), np.array([5.0, 4.0, 3.0, 2.0])
    found = crossing("load", 0.0, (-10, 5.0), times, np.array([4.0, 2.0, 0.0, 0.0]), lower, upper)
    assert found.falling
    assert found.earliest == datetime.fromtimestamp(10, tz=UTC)
    assert found.expected == datetime.fromtimestamp(20, tz=UTC)
    assert found.latest is None


@pytest.mark.parametrize(
    ("metric", "limit", "last", "falling", "passed"),
    [
        ("disk_used_percent", 50.0, 90.0, False, True),
        ("disk_used_percent", 100.0, 100.0, False, True),
        ("disk_used_percent", 95.0, 90.0, False, False),
        ("node_filesystem_avail_bytes", 10.0, 5.0, True, True),
        ("node_filesystem_avail_bytes", 0.0, 0.0, True, True),
        ("node_filesystem_avail_bytes", 0.0, 5.0, True, False),
        ("success_ratio", 0.9, 0.99, True, False),  # such a name does not say whether it fills up or runs out
        ("load", 5.0, 3.0, False, False),
    ],
)
def test_a_limit_that_is_passed_lies_at_the_last_sample(
    metric: str, limit: float, last: float, falling: bool, passed: bool
) -> None:
    found = crossing(metric, limit, (100, last), (110, 120), *(np.full(2, last),) * 3)
    assert found.falling is falling
    moments = (found.earliest, found.expected, found.latest)
    assert moments == ((datetime.fromtimestamp(100, tz=UTC),) * 3 if passed else (None,) * 3)


@pytest.mark.parametrize("trusted", [True, False])
def test_what_is_full_already_is_said_first_and_whatever_the_forecast_is_worth(trusted: bool) -> None:
    steps = np.arange(20 * DAY)
    used = 40 + 0.1 * steps + np.random.default_rng(18).normal(0, 0.1, len(steps))
    full = told(used if trusted else used[-5:], metric="disk_used_percent", full_at=50.0)
    assert full.trusted is trusted
    assert full.passed
    line = summary([told(daily(20, 19)), full], ())[0]
    assert line.startswith("disk_used_percent of a: up to 50% already (now 87")
    assert [label for label, _ in chart(full, [int(s) * STEP_S for s in steps], used, 0).marks] == ["now"]


def test_of_several_series_without_a_node_the_labels_tell_which() -> None:
    one = replace(told(daily(20, 20)), node="")
    assert summary([one], ())[0].startswith("load: ")
    assert summary([one, one], ())[0].startswith('load{service="a"}: ')


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0, -3.3, 1e12])
def test_a_constant_is_forecast_by_a_naive_method_though_others_err_by_a_rounding(value: float) -> None:
    one = told(np.full(30 * DAY, value), work=ALL)
    assert one.trusted
    assert one.method in choice.NAIVE
    assert one.lower == one.mean == one.upper == (pytest.approx(value, rel=1e-8),) * HORIZON


@pytest.mark.parametrize(
    ("metric", "values", "limit"),
    [
        ("node_filesystem_avail_bytes", [5e9, 4e9], 0.0),
        ("disk_used_percent", [50.0, 60.0], 100.0),
        ("cpu_usage_ratio", [0.2, 0.9], 1.0),
        ("disk_usage", [60.0, 61.0], 100.0),
        ("memory_utilization", [0.5, 0.6], 1.0),
        ("memory_usage_bytes", [1.0, 50.0], None),
        ("cpu_usage", [0.5, 2.5], None),
        ("availability", [99.0, 99.9], None),
        ("temperature_percent", [-5.0, 20.0], None),
        ("disk_used_percent", [50.0, 160.0], None),
        ("load", [1.0], None),
    ],
)
def test_a_limit_is_taken_only_where_it_is_evident(metric: str, values: list[float], limit: float | None) -> None:
    assert limit_of(metric, np.array(values)) == limit
