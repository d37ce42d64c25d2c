"""Whose memory is to blame: a level that nobody suffers from names no cause, a leak and a level that hurts do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system
from stages.test_rank import diagnose, order

from aiops.domain import FloatArray, Verdict
from aiops.stages.detect.resource import STOCK_ALONE, growth
from aiops.stages.detect.series import typical

ROWS = system.BASELINE + system.INCIDENT
STEADY = dict.fromkeys(system.NODES, 100.0)


def with_memory(moved: FloatArray, node: str = "leaf", seed: int = 0) -> dict[tuple[str, str], FloatArray]:
    """A quiet system in which one node's memory (MiB) moves by `moved` (5,) in the incident."""
    noise = np.random.default_rng(seed)
    series = system.quiet(seed)
    for one, level in STEADY.items():
        series[one, "memory_usage_bytes"] = level + noise.standard_normal(ROWS)
    series[node, "memory_usage_bytes"][-5:] += moved
    return series


@pytest.mark.parametrize("seed", range(5))
def test_memory_on_another_level_from_which_nothing_suffers_names_no_cause(seed: int) -> None:
    causes = diagnose(system.observe(with_memory(np.array([0.0, 200.0, 200.0, 200.0, 200.0]), seed=seed)))
    assert order(causes)[0] == "leaf"
    assert causes.verdict is Verdict.INCONCLUSIVE
    assert "nothing suffers" in causes.candidates[0].evidence[0].summary


def test_memory_that_keeps_growing_is_a_cause() -> None:
    causes = diagnose(system.observe(with_memory(np.array([0.0, 50.0, 100.0, 150.0, 200.0]))))
    assert causes.verdict is Verdict.FOUND
    assert order(causes)[0] == "leaf"


def test_memory_counts_where_the_node_is_slow_as_well() -> None:
    series = with_memory(np.array([0.0, 200.0, 200.0, 200.0, 200.0]))
    for node in ("leaf", "mid", "entry"):
        series[node, "latency_avg"][-4:] += 0.3
    causes = diagnose(system.observe(series))
    shares = {e.kind: e.weight for e in causes.candidates[0].evidence}
    assert order(causes)[0] == "leaf"
    assert shares["resource"] > 1.0


def test_memory_counts_where_it_is_what_was_asked_about() -> None:
    observation = system.observe(with_memory(np.array([0.0, 200.0, 200.0, 200.0, 200.0])))
    asked = dataclasses.replace(system.scope(), symptom_node="leaf", symptom_metric="memory_usage_bytes")
    causes = diagnose(observation, asked)
    assert (causes.verdict, order(causes)[0]) == (Verdict.FOUND, "leaf")


def test_a_busy_processor_needs_nobody_who_suffers() -> None:
    series = with_memory(np.zeros(5))
    series["leaf", "cpu_usage"][-4:] += 0.6
    assert diagnose(system.observe(series)).verdict is Verdict.FOUND


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_growth_is_a_share(path: list[float]) -> None:
    assert 0.0 <= growth(np.array(path)) < 1.0


def test_a_jump_does_not_grow_and_a_climb_does() -> None:
    assert growth(np.array([1.0, 1.0, 9.0, 9.0])) == 0.0
    assert growth(np.array([9.0, 3.0, 1.0])) == 0.0
    assert growth(np.arange(11.0)) == pytest.approx(0.9)
    assert STOCK_ALONE < 1.0


def test_of_three_samples_one_spike_is_not_typical() -> None:
    assert typical(np.array([[0.0, 75.0, 1.0]])).tolist() == [1.0]
    assert typical(np.array([[0.0, -75.0, -1.0]])).tolist() == [-1.0]
    assert typical(np.array([[75.0]])).tolist() == [75.0]
    assert typical(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])).tolist() == pytest.approx([3.4])
