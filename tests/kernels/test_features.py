"""The fused features agree with tsfresh and scipy, on plain and on ugly series."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aiops.domain import FloatArray
from aiops.kernels.features import NAMES, features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    calculators = pytest.importorskip("tsfresh.feature_extraction.feature_calculators")

MINIMAL = NAMES[:10]


def oracle(series: FloatArray) -> dict[str, float]:
    """tsfresh's own answers over what is not a gap; nothing where tsfresh has none."""
    x = series[~np.isnan(series)]
    answers = {"sum_values": calculators.sum_values(x), "length": calculators.length(x)}
    if len(x):
        answers |= {name: getattr(calculators, name)(x) for name in MINIMAL}
    if len(x) > 1:
        answers["mean_abs_change"] = calculators.mean_abs_change(x)
        ((_, slope),) = calculators.linear_trend(x, [{"attr": "slope"}])
        answers['linear_trend__attr_"slope"'] = slope
    return {name: float(value) for name, value in answers.items()}


def agree(series: FloatArray) -> None:
    got = dict(zip(NAMES, features(series[None])[0], strict=True))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # numpy warns of infinities that it then handles
        want = oracle(series)
    finite = series[np.isfinite(series)]
    size = float(np.abs(finite).max()) if len(finite) else 0.0
    for name, value in got.items():
        if name not in want:
            assert np.isnan(value), name
            continue
        # A slope is a difference of sums: its rounding is relative to the values, not to the slope.
        near = 1e-9 * size if "slope" in name else 1e-300
        np.testing.assert_allclose(value, want[name], rtol=1e-9, atol=near, equal_nan=True, err_msg=name)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 60, 64, 127, 128, 129, 500, 1440])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
def test_plain_series_of_any_length_and_offset(length: int, offset: float) -> None:
    agree(np.random.default_rng(length).normal(size=length) + offset)


def test_the_names_are_those_of_the_minimal_set() -> None:
    from tsfresh.feature_extraction import MinimalFCParameters

    assert set(MINIMAL) == set(MinimalFCParameters())


def test_the_slope_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = np.random.default_rng(4).normal(size=64).cumsum()
    assert features(x[None])[0, -1] == pytest.approx(stats.linregress(np.arange(64), x).slope, rel=1e-9)


@pytest.mark.parametrize(
    "series",
    [
        np.full(60, 3.0),
        np.full(60, 1e12),
        np.array([np.nan] * 20 + [1.0, 2.0, 4.0] + [np.nan] * 20),
        np.array([1.0, np.inf, 2.0]),
        np.array([1.0, -np.inf, np.inf, 2.0]),
        np.array([5.0]),
        np.array([np.nan, 5.0]),
        np.array([0.0, -0.0]),
        np.array([1e300, -1e300, 1e300]),
    ],
)
def test_ugly_series(series: FloatArray) -> None:
    agree(series)


def test_a_row_without_samples_says_so() -> None:
    row = dict(zip(NAMES, features(np.full((1, 5), np.nan))[0], strict=True))
    assert row["length"] == 0
    assert row["sum_values"] == 0
    assert np.isnan(row["mean"])


def test_rows_do_not_touch_each_other() -> None:
    block = np.random.default_rng(0).normal(size=(7, 90))
    block[3, 10:50] = np.nan
    together = features(block)
    for row, alone in zip(block, together, strict=True):
        np.testing.assert_array_equal(features(row[None])[0], alone)


VALUES = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, 1.0, 1e12, 1e12 + 1, -1e12, np.nan, np.inf, -np.inf]),
)


@settings(max_examples=300, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 200), elements=VALUES))
def test_any_series(series: FloatArray) -> None:
    agree(series)
