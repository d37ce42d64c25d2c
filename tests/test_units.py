"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.units import between, clock, figure, lag, moments, percent, quantity, stamp

NOON = datetime(2026, 3, 14, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        (0.0123456, "latency_seconds", "12.3 ms"),
        (0.0, "latency_seconds", "0 s"),
        (90.0, "latency_seconds", "90 s"),
        (150.0, "latency_seconds", "2.5 min"),
        (0.00000042, "gc_pause_seconds", "420 ns"),
        (250.0, "request_ms", "250 ms"),
        (3_000.0, "request_ms", "3 s"),
        (5e8, "process_resident_memory_bytes", "477 MiB"),
        (20.5, "MemoryUsage_Mi", "20.5 MiB"),
        (0.9732, "success_ratio", "97.3%"),
        (42.0, "disk_used_percent", "42%"),
        (123456.789, "requests", "123 k"),
        (0.1 + 0.2, "anything", "0.3"),
        (999.96, "anything", "1 k"),
        (1.5e21, "anything", "1.50e+21"),
        (-0.000012, "anything", "−1.20e−05"),
        (-12.0, "offset_seconds", "−12 s"),
        (math.nan, "latency_seconds", "no data"),
        (math.inf, "anything", "∞"),
    ],
)
def test_three_digits_and_a_unit(value: float, metric: str, said: str):
    assert quantity(value, metric) == said


@given(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["x", "x_seconds", "x_bytes", "x_ratio", "x_Mi"])
)
def test_no_number_is_long(value: float, metric: str):
    assert len(quantity(value, metric)) <= 20


@given(st.floats(1e-3, 1e12))
def test_three_digits_are_near_the_value(value: float):
    said = figure(value)
    number, _, suffix = said.partition(" ")
    assert float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[suffix] == pytest.approx(value, rel=6e-3)


def test_a_range_has_one_unit():
    assert between(0.008, 0.021, "wait_seconds") == "8 to 21 ms"


def test_certainty_never_comes_from_rounding():
    assert [percent(p) for p in (0.0, 0.0004, 0.5, 0.9999, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]


def test_times_name_their_zone():
    assert stamp(NOON, UTC) == "2026-03-14 12:00:05 UTC"
    assert stamp(NOON, ZoneInfo("Europe/Berlin")) == "2026-03-14 13:00:05 CET"
    assert stamp(NOON, ZoneInfo("America/Sao_Paulo")) == "2026-03-14 09:00:05 UTC-03"
    assert clock(NOON, ZoneInfo("Asia/Kolkata")) == "17:30:05"


def test_times_of_several_days_carry_their_date():
    assert moments((NOON, None), UTC) == ["12:00:05", ""]
    assert moments((NOON, NOON + timedelta(days=1)), UTC) == ["03-14 12:00:05", "03-15 12:00:05"]


def test_lags_are_signed():
    said = [lag(timedelta(seconds=s)) for s in (0, 0.4, 30, 80, -3600, 7260)]
    assert said == ["same time", "+400 ms", "+30 s", "+1 min 20 s", "−1 h", "+2 h 1 min"]
