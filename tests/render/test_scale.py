"""Axes: times and values find their place."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import Chart
from aiops.render.picture import chart_svg, describe, small_svg
from aiops.render.samples import extreme, samples
from aiops.render.scale import time_axis, time_ticks, value_axis

from render import sample

VALUES = st.none() | st.floats(allow_nan=True, allow_infinity=True)
HOUR = range(1_700_000_000, 1_700_003_600, 60)


def test_a_recording_with_a_hole_breaks_the_axis():
    later = [t + 86_400 for t in HOUR]
    axis = time_axis([*HOUR, *later], 0, 500, 20)
    assert len(axis.stretches) == 2
    assert axis.stretches[0].right + 20 == pytest.approx(axis.stretches[1].left)
    assert axis.place(HOUR[0] + 40_000) is None


def test_a_baseline_recorded_after_the_incident_comes_first_and_breaks_the_axis():
    axis = time_axis([*(t + 86_400 for t in HOUR), *HOUR], 0, 500, 20)
    assert [s.start for s in axis.stretches] == [HOUR[0] + 86_400, HOUR[0]]


def test_a_mark_just_after_the_last_sample_lies_at_the_edge():
    axis = time_axis(list(HOUR), 0, 500, 20)
    assert axis.place(HOUR[-1] + 60) == 500
    assert axis.place(HOUR[-1] + 4000) is None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_ticks_are_round_in_local_time(zone: str):
    stretch = time_axis(list(HOUR), 0, 500, 20).stretches[0]
    words = [word for _, word in time_ticks(stretch, 5, ZoneInfo(zone))]
    assert 3 <= len(words) <= 6
    assert all(int(word[3:]) % 15 == 0 for word in words)


def test_value_ticks_are_round_in_their_unit():
    axis = value_axis([3.9e8, 4.9e8], [], 100, 0)
    assert all((v / 2**20) % 10 == pytest.approx(0, abs=1e-6) for v in axis.ticks(factor=2**-20))


def test_a_wide_band_does_not_flatten_the_series():
    axis = value_axis([1.0, 2.0], [-1e9, 1e9], 100, 0)
    assert axis.place(1.0) - axis.place(2.0) > 20


@given(st.lists(VALUES, max_size=40), st.lists(VALUES, max_size=40), st.lists(st.integers(0, 4 * 10**9), max_size=40))
def test_any_chart_can_be_drawn(values: list[float | None], band: list[float | None], times: list[int]):
    chart = Chart("t", "n", "m_seconds", tuple(times), tuple(values), tuple(band), tuple(band), (("onset", 5),))
    for picture in (chart_svg(chart, UTC, "c"), small_svg(chart, (200, 40))):
        ET.fromstring(picture)
        assert "nan" not in picture.replace("nano", "")
        assert "inf" not in picture
    describe(chart, UTC)


def test_few_samples_are_kept_and_many_keep_their_extremes():
    chart = sample.chart("n", "m", 1, 0.1, 2, 90, 0.5)
    assert samples(chart).values == chart.values
    values = [math.sin(i / 50) for i in range(10_000)]
    values[4321] = 17.0
    long = replace(
        chart, times=tuple(range(10_000)), values=tuple(values), lower=(-2.0,) * 10_000, upper=(2.0,) * 10_000
    )
    drawn = samples(long)
    assert len(drawn.values) <= 260
    assert max(drawn.values) == 17.0
    assert list(drawn.times) == sorted(drawn.times)
    far = extreme(drawn)
    assert far is not None
    assert drawn.times[far] == 4321


def test_a_chart_speaks():
    said = describe(sample.chart("db", "wait_seconds", 0.014, 0.005, 2.4, 97, 0.3), UTC)
    assert "onset at 2026-03-14 10:37:00 UTC" in said
    assert "at most 2.4 s where" in said
