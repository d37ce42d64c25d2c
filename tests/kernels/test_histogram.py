"""Quantiles of buckets, beside an implementation by hand and the samples that were counted."""

from __future__ import annotations

import numpy as np
import pytest

from aiops.kernels.histogram import quantile

BOUNDS = np.array([0.1, 0.5, 1.0, 5.0, np.inf])


def by_hand(counts: list[float], q: float) -> float:
    """As Prometheus' documentation describes `histogram_quantile`."""
    rank, below, lower = q * counts[-1], 0.0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=True):
        if count >= rank:
            return float(BOUNDS[-2] if np.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below))
        below, lower = count, bound
    raise AssertionError


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.95, 0.99])
def test_as_the_documentation_says(q: float) -> None:
    counts = [[5.0, 20.0, 70.0, 95.0, 100.0], [0.0, 0.0, 1.0, 1.0, 1.0], [10.0, 10.0, 10.0, 10.0, 10.0]]
    got = quantile(BOUNDS, np.array(counts).T, q)
    assert got == pytest.approx([by_hand(row, q) for row in counts])


def test_it_lies_in_the_bucket_of_the_true_quantile() -> None:
    seen = np.random.default_rng(3).exponential(0.7, 10_000)
    counts = np.array([[np.sum(seen <= bound)] for bound in BOUNDS], float)
    for q in (0.5, 0.9, 0.99):
        true, got = np.quantile(seen, q), quantile(BOUNDS, counts, q)[0]
        at = np.searchsorted(BOUNDS, true)
        assert (BOUNDS[at - 1] if at else 0.0) <= got <= BOUNDS[at]


def test_nothing_counted_is_no_quantile() -> None:
    assert np.isnan(quantile(BOUNDS, np.zeros((5, 2)), 0.5)).all()
    assert np.isnan(quantile(BOUNDS[:-1], np.ones((4, 1)), 0.5)).all(), "without the infinite bucket nobody knows"
