"""Counters become rates; what only has a counter's name does not."""

from __future__ import annotations

import numpy as np
import pytest

from aiops.domain import NS
from aiops.kernels.counters import is_counter, rate

TIMES = np.arange(6, dtype=np.int64) * 15 * NS


def test_a_steady_counter_has_a_steady_rate() -> None:
    rates = rate(TIMES, np.arange(6.0)[None] * 30)
    assert np.isnan(rates[0, 0])
    np.testing.assert_array_equal(rates[0, 1:], 2.0)


def test_a_reset_counts_from_zero() -> None:
    rates = rate(TIMES, np.array([[100.0, 130.0, 15.0, 30.0, 45.0, 60.0]]))
    np.testing.assert_array_equal(rates[0, 1:], [2.0, 1.0, 1.0, 1.0, 1.0])


def test_gaps_and_pauses_have_no_rate() -> None:
    times = TIMES.copy()
    times[4:] += 3600 * NS
    rates = rate(times, np.array([[0.0, np.nan, 30.0, 60.0, 9000.0, 9030.0]]))
    np.testing.assert_array_equal(np.isnan(rates[0]), [True, True, True, False, True, False])
    assert rate(TIMES[:1], np.ones((2, 1))).shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("requests_total", [1, 2, 2, 5, 1, 3, 4, 5, 6, 7, 8, 9], True),
        ("latency_seconds_bucket", [0, 0, 0, 0], True),
        ("thread_count", [5, 3, 6, 2, 7], False),
        ("requests", [1, 2, 3], False),
        ("requests_total", [np.nan, np.nan], False),
        ("requests_total", [1], False),
    ],
)
def test_name_and_behaviour_decide(name: str, values: list[float], expected: bool) -> None:
    assert is_counter(name, np.array(values, float)) is expected
