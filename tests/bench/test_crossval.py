"""Choosing the ranking's numbers without the data that judges them."""

from __future__ import annotations

import pytest
from stages import system

from aiops.bench import crossval
from aiops.bench.crossval import MISSED, Place, accuracy, chosen, known, middle, places, settings, table


def incident(node: str, dataset: str = "a", fault: str = "slow") -> crossval.Known:
    return known(dataset, fault, node, system.observe(system.faulty(node)), system.scope(), system.ranking())


def test_settings_are_drawn_around_the_ranking_and_the_same_for_a_seed() -> None:
    ranking = system.ranking()
    first, again, other = settings(ranking, 50, 1), settings(ranking, 50, 1), settings(ranking, 50, 2)
    assert first == again != other
    for drawn in first:
        assert drawn["verdict"] == ranking["verdict"]
        for name, value in drawn["half"].items():
            assert 1 / 2.5 < value / ranking["half"][name] < 2.5
        for value in drawn["weights"].values():
            assert 0.05 <= value <= 0.97


def test_figures_by_hand() -> None:
    assert accuracy([1, 2, 4, MISSED]) == pytest.approx((0.25, 0.5, (0.25 + 0.5 + 0.5 + 0.75 + 0.75) / 5))


def test_what_is_left_out_has_no_say() -> None:
    def tried(a: int, b: int) -> list[Place]:
        return [Place("a", "x", a, a), Place("b", "y", b, b)]

    both = [tried(1, 3), tried(3, 1)]
    assert chosen(both, "dataset", "a")[0] == 1
    assert chosen(both, "dataset", "b")[0] == 0
    assert chosen(both, "fault", "x")[0] == 1


def test_the_middle_of_settings_is_their_geometric_mean() -> None:
    ranking = system.ranking()
    twice, half = ({**ranking, "half": {k: f * v for k, v in ranking["half"].items()}} for f in (2.0, 0.5))
    assert middle([twice, half])["half"] == pytest.approx(ranking["half"])
    assert middle([twice, half])["weights"] == pytest.approx(ranking["weights"])


def test_places_are_those_of_the_corridor() -> None:
    quiet = known("a", "none", "leaf", system.observe(system.quiet()), system.scope(), system.ranking())
    first, second, nothing = places([incident("leaf"), incident("mid"), quiet], system.ranking())
    assert (first.order, first.named) == (second.order, second.named) == (1, 1)
    assert nothing.named == MISSED


def test_the_table_tells_each_data_set_and_fault_left_out() -> None:
    incidents = [incident("leaf", "one"), incident("mid", "two"), incident("mid", "two", "other")]
    drawn = settings(system.ranking(), 5, 0)
    lines = table(incidents, drawn, [places(incidents, setting) for setting in drawn]).splitlines()
    assert [line.split()[:3] for line in lines[1:6]] == [
        ["one", "all", "1"],
        ["slow", "1", "1.00/1.00/1.00"],
        ["two", "all", "2"],
        ["other", "1", "1.00/1.00/1.00"],
        ["slow", "1", "1.00/1.00/1.00"],
    ]
    assert {tuple(line.split()[:3]) for line in lines[7:]} == {
        ("slow", "one", "1"),
        ("slow", "two", "1"),
        ("other", "two", "1"),
    }
