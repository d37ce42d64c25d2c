"""VictoriaMetrics: what it does not offer is found out once, and what it tells is what Prometheus tells of the same samples."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from aiops import recording
from aiops.adapters.prometheus import MAX_POINTS, Prometheus
from aiops.domain import NS, TimeRange, from_ns

import servers


@pytest.fixture(scope="module")
def span(demo_case: Path) -> TimeRange:
    times = recording.read_metrics(recording.open_files(demo_case))[0].times
    return TimeRange(from_ns(int(times[0])), from_ns(int(times[-1]) + NS))


def test_each_says_how_samples_come(prometheus: servers.Server, victoria_metrics: servers.Server) -> None:
    assert Prometheus(prometheus.url).ping(30).endswith("samples by remote read")
    assert Prometheus(victoria_metrics.url).ping(30).endswith("samples by query")


def test_both_tell_the_same_samples_under_the_same_keys(
    prometheus: servers.Server, victoria_metrics: servers.Server, span: TimeRange
) -> None:
    told = []
    for url in (prometheus.url, victoria_metrics.url):
        samples = Prometheus(url).samples('{__name__!=""}', span, 30)
        rows = {}
        for k, key in enumerate(samples.keys):
            own = slice(int(samples.starts[k]), int(samples.starts[k + 1]))
            number = ~np.isnan(samples.values[own])
            if number.any():
                rows[key] = samples.times[own][number], samples.values[own][number]
        told.append(rows)
    one, other = told
    assert len(one) > 10
    assert one.keys() == other.keys()
    for key, (times, values) in one.items():
        assert np.array_equal(times, other[key][0])
        np.testing.assert_allclose(other[key][1], values, rtol=1e-11)


def test_raw_samples_are_those_on_their_own_grid(prometheus: servers.Server, span: TimeRange) -> None:
    """By remote read and by query_range, bit for bit, at the times at which something was scraped."""
    source = Prometheus(prometheus.url)
    raw = source.samples('{__name__!=""}', span, 30)
    stepped = source.samples('{__name__!=""}', span, 30, timedelta(seconds=60))
    grid = dict(zip(stepped.keys, range(len(stepped)), strict=True))
    compared = 0
    for k, key in enumerate(raw.keys):
        own = slice(int(raw.starts[k]), int(raw.starts[k + 1]))
        on = raw.times[own] % (60 * NS) == 0
        there = slice(int(stepped.starts[grid[key]]), int(stepped.starts[grid[key] + 1]))
        at = np.searchsorted(stepped.times[there], raw.times[own][on])
        assert np.array_equal(stepped.values[there][at], raw.values[own][on], equal_nan=True)
        compared += int(on.sum())
    assert compared > 100


@pytest.mark.parametrize("name", ["prometheus", "victoria_metrics"])
def test_more_points_than_a_server_gives_at_once(name: str, request: pytest.FixtureRequest, span: TimeRange) -> None:
    step = span.duration // (MAX_POINTS + 1_001)
    step -= step % timedelta(milliseconds=1)
    source = Prometheus(request.getfixturevalue(name).url)
    told = source.samples("vector(1)", span, 60, step)
    assert len(told) == 1
    assert len(told.times) > 11_000
    assert (np.diff(told.times) == step // timedelta(milliseconds=1) * 1_000_000).all()
