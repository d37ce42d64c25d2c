"""Robust scores against numpy's own slow functions, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aiops.domain import FloatArray
from aiops.kernels.robust import first_run, location_scale, quantiles, saturate, standard_scores

BLOCKS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 30)),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))),
)


@settings(deadline=None)
@given(BLOCKS)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_quantiles_equal_nanquantile(values: FloatArray) -> None:
    levels = (0.05, 0.5, 0.95)
    np.testing.assert_allclose(quantiles(values, levels), np.nanquantile(values, levels, axis=1), rtol=1e-9, atol=1e-6)


@settings(deadline=None)
@given(BLOCKS)
def test_scores_are_always_finite(values: FloatArray) -> None:
    assert np.isfinite(standard_scores(values, *location_scale(values))).all()


def test_scale_of_a_gaussian_is_its_sigma() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, (3, 50_000))
    location, scale = location_scale(values)
    np.testing.assert_allclose(location, 5.0, atol=0.05)
    np.testing.assert_allclose(scale, 2.0, atol=0.05)


def test_a_few_outliers_do_not_move_the_scale() -> None:
    values = np.random.default_rng(0).normal(0.0, 1.0, (1, 10_000))
    values[0, :200] = 1e6
    assert location_scale(values)[1][0] == pytest.approx(1.0, rel=0.1)


def test_first_run_prefers_a_run_to_a_spike() -> None:
    outside = np.array([[True, False, True, True], [False, True, False, False], [False] * 4])
    assert first_run(outside, 2).tolist() == [2.0, 1.0, -1.0]


def test_saturate_is_a_half_at_half() -> None:
    assert saturate(np.array([0.0, 3.0, 1e9]), 3.0) == pytest.approx([0.0, 0.5, 1.0])
