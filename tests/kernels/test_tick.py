"""The online engine: calibrated, causal, the same in batch and stream, and whole after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aiops.domain import FloatArray, IntArray
from aiops.errors import DataError
from aiops.kernels import tick
from aiops.kernels.views import VIEWS

DAY = 288  # five-minute steps


def clock(length: int, step: int = 300) -> IntArray:
    return np.arange(length, dtype=np.int64) * step + 1_700_000_000


def daily(series: int, length: int, seed: int = 7) -> FloatArray:
    rng = np.random.default_rng(seed)
    wave = 10 * np.sin(2 * np.pi * np.arange(length) / DAY)
    return 50 + wave + rng.normal(size=(series, length))


def same(a: tick.Ticks, b: tick.Ticks) -> None:
    for got, want in zip(a, b, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("memory", [0, tick.MEMORY])
def test_batch_equals_stream_tick_by_tick(memory: int) -> None:
    values, times = daily(3, 400), clock(400)
    values[1, 50:60] = np.nan
    batch, stream = tick.fresh(3, memory=memory), tick.fresh(3, memory=memory)
    whole = tick.advance(batch, times, values)
    parts = [tick.advance(stream, times[t : t + 1], values[:, t : t + 1]) for t in range(400)]
    same(whole, tick.Ticks._make(np.concatenate([p[k] for p in parts], axis=1) for k in range(len(whole))))
    for got, want in zip(stream, batch, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    values, times = daily(4, 300), clock(300)
    together = tick.advance(tick.fresh(4), times, values)
    alone = tick.advance(tick.fresh(1), times, values[2:3])
    same(alone, tick.Ticks._make(a[2:3] for a in together))


def test_nothing_looks_ahead() -> None:
    values, times = daily(2, 300), clock(300)
    cut = tick.advance(tick.fresh(2), times[:200], values[:, :200])
    values[:, 200:] *= 9
    whole = tick.advance(tick.fresh(2), times, values)
    same(cut, tick.Ticks._make(a[:, :200] for a in whole))


@pytest.mark.parametrize("noise", ["normal", "standard_t", "lognormal", "walk"])
def test_the_band_covers_what_it_says(noise: str) -> None:
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.normal(size=(5, 4000)),
        "standard_t": rng.standard_t(3, size=(5, 4000)),
        "lognormal": rng.lognormal(size=(5, 4000)),
        "walk": rng.normal(size=(5, 4000)).cumsum(1),
    }[noise]
    ticks = tick.advance(tick.fresh(5), clock(4000), values)
    inside = ((values >= ticks.lower) & (values <= ticks.upper))[:, 2000:].mean(axis=1)
    assert np.abs(inside - 0.95).max() <= 0.01


@pytest.mark.parametrize("memory", [0, tick.MEMORY])
def test_a_level_shift_is_found_and_its_alert_is_given_once(memory: int) -> None:
    values = daily(1, 6 * DAY)
    values[0, 5 * DAY :] += 40
    ticks = tick.advance(tick.fresh(1, memory=memory), clock(6 * DAY), values)
    alerts = np.flatnonzero(ticks.score[0, 5 * DAY - 12 :] >= 1.0)
    assert alerts[0] in range(12, 15)
    assert len(alerts) <= 3
    assert ticks.strength[0, 5 * DAY :].max() >= ticks.score[0, 5 * DAY :].max()


def test_noise_alone_alerts_about_once_a_week() -> None:
    values = np.random.default_rng(0).normal(size=(40, 14 * DAY))
    ticks = tick.advance(tick.fresh(40), clock(14 * DAY), values)
    assert (ticks.score >= 1).sum() / 40 / 2 <= 1.3


def test_an_anomaly_does_not_poison_its_baseline() -> None:
    values = daily(2, 6 * DAY)
    values[1] = values[0]
    values[1, 4 * DAY : 4 * DAY + 3] = 1000.0  # a thousand sigmas
    ticks = tick.advance(tick.fresh(2), clock(6 * DAY), values)
    width = (ticks.upper - ticks.lower)[:, 5 * DAY :].mean(axis=1)
    assert width[1] <= 2 * width[0]


def test_a_large_offset_keeps_the_width() -> None:
    values = np.random.default_rng(5).normal(size=(1, 3000))
    plain = tick.advance(tick.fresh(1), clock(3000), values)
    raised = tick.advance(tick.fresh(1), clock(3000), values + 1e12)
    width, wide = ((t.upper - t.lower)[0, 1000:].mean() for t in (plain, raised))
    assert wide == pytest.approx(width, rel=0.02)


def test_a_level_far_from_the_first_value_keeps_its_digits() -> None:
    values = np.random.default_rng(5).normal(size=(1, 6000))
    values[0, 100:] += 1e9
    ticks = tick.advance(tick.fresh(1), clock(6000), values)
    assert (ticks.upper - ticks.lower)[0, 5000:].mean() < 8


def test_a_gap_is_forecast_but_teaches_nothing() -> None:
    values, times = daily(1, 500), clock(500)
    holed = values.copy()
    holed[0, 300:310] = np.nan
    state = tick.fresh(1)
    ticks = tick.advance(state, times[:310], holed[:, :310])
    assert np.isfinite(ticks.lower[0, 300:310]).all()
    assert (ticks.score[0, 300:310] == 0).all()
    assert tick.samples(state)[0] == 300


@pytest.mark.parametrize("end", ["freezes", "stops"])
@pytest.mark.parametrize("counts", [False, True])
def test_a_series_that_freezes_or_stops_is_an_anomaly(end: str, counts: bool) -> None:
    values, times = daily(1, 1200), clock(1200)
    values = values.cumsum(axis=1) if counts else values
    values[0, 1000:] = values[0, 999] if end == "freezes" else np.nan
    ticks = tick.advance(tick.fresh(1, counter=np.array([counts])), times, values)
    alerts = 1000 + np.flatnonzero(ticks.score[0, 1000:] >= 1.0)
    assert alerts[0] < 1026
    if end == "stops":
        assert VIEWS[ticks.strongest[0, alerts[0]]] == "stillness"


def test_a_series_that_often_pauses_does_not_alert_for_a_pause() -> None:
    values, times = daily(1, 3000), clock(3000)
    rows = np.arange(3000)
    values[0, (rows % 100 < 40) & (rows > 50)] = np.nan
    ticks = tick.advance(tick.fresh(1), times, values)
    paused = np.isnan(values[0]) & (rows > 1000)
    assert ticks.score[0, paused].max() < 1.0


def test_what_happens_every_day_stops_alerting() -> None:
    values, times = daily(1, 28 * DAY), clock(28 * DAY)
    values[0, 100::DAY] += 60
    alerts = np.flatnonzero(tick.advance(tick.fresh(1), times, values).score[0] >= 1.0)
    assert (alerts < 7 * DAY).any()
    assert (alerts > 14 * DAY).sum() <= 2


def test_time_that_runs_backwards_is_taken_in_order_of_arrival() -> None:
    values, times = daily(1, 600), clock(600)
    times[300:] -= 3600  # the clock was put back
    ticks = tick.advance(tick.fresh(1), times, values)
    assert np.isfinite(ticks.lower[0, 10:]).all()
    assert ticks.score[0, 300:330].max() < 1.0


def test_a_counter_leaves_out_a_sample_that_is_not_later_and_keeps_its_rate() -> None:
    times = clock(100)
    times[60], times[70] = times[59], times[66]
    state = tick.fresh(1, counter=np.array([True]))
    ticks = tick.advance(state, times, 300.0 * np.arange(100)[None])
    assert tick.samples(state)[0] == 97  # neither of the two, nor the first, which has no increase
    np.testing.assert_allclose(ticks.mean[0, 10:], 1.0, rtol=1e-6)


def test_a_counter_sample_up_to_ten_steps_earlier_is_left_out() -> None:
    state = tick.fresh(1, counter=np.array([True]))
    times = np.concatenate([clock(100), clock(100)[-1:] - 300 * 10, clock(101)[-1:]])
    tick.advance(state, times, np.append(300.0 * np.arange(100), [0.0, 30_000.0])[None])
    assert tick.samples(state)[0] == 100  # one for each of the hundred, less the first, and the one after


def test_a_counter_begins_anew_where_the_clock_was_put_back() -> None:
    times, state = clock(200), tick.fresh(1, counter=np.array([True]))
    times[100:] -= 86_400
    ticks = tick.advance(state, times, 300.0 * np.arange(200)[None])
    assert tick.samples(state)[0] == 198
    np.testing.assert_allclose(ticks.mean[0, 10:], 1.0, rtol=1e-6)


def test_the_first_sample_after_a_long_gap_is_no_jump() -> None:
    values, times = daily(1, 600), clock(600)
    times[400:] += 86_400
    ticks = tick.advance(tick.fresh(1), times, values)
    assert ticks.score[0, 400] < 1.0


def test_a_counter_is_read_as_its_increase_through_resets() -> None:
    rng = np.random.default_rng(2)
    steps = rng.poisson(50, size=600).astype(float)
    total = steps.cumsum()
    total[300:] -= total[299]  # restarted from zero: its value is the increase since
    state = tick.fresh(1, counter=np.array([True]))
    ticks = tick.advance(state, clock(600), total[None])
    assert np.nanmax(np.abs(ticks.mean[0, 100:])) < 1.0
    assert ticks.score[0, 299:305].max() < 1.0


def test_irregular_scrapes_and_duplicate_times_are_taken() -> None:
    values, times = daily(1, 600), clock(600) + np.random.default_rng(1).integers(-60, 60, 600)
    times[200] = times[199]
    ticks = tick.advance(tick.fresh(1), times, values)
    inside = (values >= ticks.lower) & (values <= ticks.upper)
    assert inside[0, 100:].mean() > 0.9


def test_the_cold_start_is_stated() -> None:
    state = tick.fresh(1)
    ticks = tick.advance(state, clock(37), daily(1, 37))
    assert tick.warming(state, 0) == "warming: 37 of 60 samples"
    assert (ticks.score == 0).all()
    tick.advance(state, clock(60)[37:], daily(1, 60)[:, 37:])
    assert tick.warming(state, 0) is None


def test_a_question_changes_nothing() -> None:
    state = tick.fresh(2)
    tick.advance(state, clock(200), daily(2, 200))
    before = [a.copy() for a in state]
    mean, lower, upper = tick.peek(state, int(clock(201)[-1]))
    assert ((lower < mean) & (mean < upper)).all()
    for a, b in zip(before, state, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_arrays_are_all_there_is_to_the_state() -> None:
    values, times = daily(3, 400), clock(400)
    state = tick.fresh(3, memory=tick.MEMORY)
    tick.advance(state, times[:250], values[:, :250])
    restored = tick.State._make(np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape).copy() for a in state)
    same(tick.advance(restored, times[250:], values[:, 250:]), tick.advance(state, times[250:], values[:, 250:]))


def test_the_two_tiers_keep_their_budgets() -> None:
    assert tick.fresh(10).bytes_per_series <= 2000
    assert tick.fresh(10, memory=tick.MEMORY).bytes_per_series <= 24_000


def test_a_block_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(DataError, match="2 series and 3 times"):
        tick.advance(tick.fresh(2), clock(3), np.zeros((3, 3)))


UGLY = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e12, -1e12, 1e300, -1e300, 1e-300, np.nan, np.inf, -np.inf]),
    st.floats(allow_nan=True, allow_infinity=True),
)


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.just(1), st.integers(1, 120)), elements=UGLY), st.booleans())
def test_no_series_is_ugly_enough_to_break_the_state(values: FloatArray, remembers: bool) -> None:
    state = tick.fresh(1, memory=tick.MEMORY if remembers else 0)
    ticks = tick.advance(state, clock(values.shape[1]), values)
    assert np.isfinite(ticks.score).all()
    assert (np.isnan(ticks.lower) == np.isnan(ticks.upper)).all()
    calm = tick.advance(state, clock(900)[300:], daily(1, 600))
    assert np.isfinite(calm.lower[0, 5:]).all()
    assert (calm.lower[0, 5:] <= calm.upper[0, 5:]).all()


@pytest.mark.parametrize("value", [0.0, 45.0, 1e12])
def test_a_constant_series_is_never_an_anomaly(value: float) -> None:
    ticks = tick.advance(tick.fresh(1), clock(3000), np.full((1, 3000), value))
    assert ticks.score.max() < 1.0
    assert (ticks.lower[0, 5:] == value).all()
    assert (ticks.upper[0, 5:] == value).all()
