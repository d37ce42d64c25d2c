"""The published rankings that ours is compared with, by hand-worked cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from stages import system

from aiops.bench.rankers import RANKERS, baro, correlation, deviation, traversal
from aiops.domain import FloatArray, Observation

QUIET = np.tile([9.0, 11.0, 9.0, 11.0, 10.0], system.BASELINE // 5)


def observed(
    incident: dict[str, list[float]], metric: str = "latency_avg", past: dict[str, FloatArray] | None = None
) -> Observation:
    series = {(n, metric): np.concatenate([(past or {}).get(n, QUIET), rows]) for n, rows in incident.items()}
    return system.observe(series)


def test_deviation_is_the_largest_z_either_way() -> None:
    # Mean 10, standard deviation sqrt(.8): a fall by 8 is larger than a rise by 7.
    seen = observed({"leaf": [10, 10, 2, 10, 10], "mid": [10, 10, 17, 10, 10], "side": [10] * 5})
    assert deviation(seen, system.scope()) == ("leaf", "mid", "side")


def test_baro_sees_only_what_rises_and_scales_by_quartiles() -> None:
    # The quartiles of `wide` are 8 and 12: (20 - 10) / 4 = 2.5; those of `mid` 9 and 11: (18 - 10) / 2 = 4.
    wide = np.tile([8.0, 8.0, 10.0, 12.0, 12.0], system.BASELINE // 5)
    seen = observed({"leaf": [10, 0, 0, 0, 0], "mid": [18] * 5, "side": [20] * 5}, past={"side": wide})
    assert baro(seen, system.scope()) == ("mid", "side", "leaf")


def test_baro_drops_constant_series() -> None:
    flat = np.full(system.BASELINE, 5.0)
    assert "side" not in baro(observed({"side": [5] * 5, "mid": [12] * 5}, past={"side": flat}), system.scope())


def test_correlation_ranks_anomalous_series_by_significance() -> None:
    seen = observed(
        {
            "entry": [10, 10, 20, 40, 10],
            "leaf": [10, 10, 21, 39, 10],
            "mid": [10, 30, 20, 25, 30],
            "side": [10, 10, 10.5, 11, 10],  # goes with the symptom perfectly, and is not anomalous
        }
    )
    ranked = correlation(seen, system.scope())
    assert ranked[0] == "leaf"
    assert "side" not in ranked


def test_traversal_ends_at_anomalous_nodes_without_an_anomalous_callee() -> None:
    hurt = [10.0, 10.0, 50.0, 50.0, 50.0]
    seen = observed({"entry": hurt, "mid": hurt, "leaf": hurt, "side": [10] * 5})
    assert traversal(seen, system.scope()) == ("leaf",)
    assert traversal(observed({"entry": hurt, "mid": [10] * 5, "leaf": hurt}), system.scope()) == ("entry",)


def test_traversal_puts_what_never_strays_from_its_median_before_all_others() -> None:
    # More than half of the samples of `mid` are the median, so that its median absolute deviation is 0.
    steady = np.tile([10.0, 10.0, 10.0, 10.0, 11.0], system.BASELINE // 5)
    flat = np.full(system.BASELINE, 10.0)
    past = {"mid": steady, "side": flat}
    seen = observed({"entry": [10, 10, 50, 50, 50], "mid": [10.5] * 5, "side": [999.0] * 5}, past=past)
    assert traversal(seen, system.scope()) == ("mid", "side")


def test_traversal_is_silent_where_the_symptom_does_not_hurt_and_ends_in_cycles() -> None:
    hurt = [10.0, 10.0, 50.0, 50.0, 50.0]
    assert traversal(observed({"entry": [10] * 5, "mid": hurt}), system.scope()) == ()
    series = {(n, "latency_avg"): np.concatenate([QUIET, hurt]) for n in ("entry", "mid", "leaf")}
    cyclic = system.observe(series, calls=(("entry", "mid"), ("mid", "leaf"), ("leaf", "mid")))
    assert set(traversal(cyclic, system.scope())) <= {"mid", "leaf"}


@pytest.mark.parametrize("name", RANKERS)
def test_no_ranking_names_virtual_nodes_or_fails_on_nothing(name: str) -> None:
    assert RANKERS[name](system.observe({}, calls=()), system.scope()) == ()
    faulty = system.observe(system.faulty())
    nodes = tuple("_entry" if n == "entry" else n for n in faulty.panel.nodes)
    seen = dataclasses.replace(faulty, panel=dataclasses.replace(faulty.panel, nodes=nodes))
    assert not [n for n in RANKERS[name](seen, system.scope(node="_entry")) if n.startswith("_")]
