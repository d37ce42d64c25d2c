"""The laws of the ranking, over `detect`, `link` and `rank` together."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system

from aiops.domain import Findings, Observation, RootCauses, Scope, Verdict
from aiops.schema.runbook import FAULTS
from aiops.stages.detect import detect
from aiops.stages.link import link
from aiops.stages.rank import nothing_to_rank, rank, score


def diagnose(observation: Observation, scope: Scope | None = None, **changed: Any) -> RootCauses:
    scope, ranking = scope or system.scope(), system.ranking(**changed)
    findings = detect(observation, scope, ranking)
    return rank(link(findings, observation, scope, ranking), findings, scope, ranking)


def order(causes: RootCauses) -> list[str]:
    return [c.node for c in causes.candidates]


@pytest.mark.parametrize("node", ["leaf", "mid", "side"])
def test_the_node_at_fault_comes_first_not_those_that_inherit_it(node: str) -> None:
    causes = diagnose(system.observe(system.faulty(node)))
    assert causes.verdict is Verdict.FOUND
    assert order(causes)[0] == node
    assert causes.candidates[0].fault in {"cpu", "latency"}


def test_a_quiet_system_gives_no_cause() -> None:
    causes = [diagnose(system.observe(system.quiet(seed))) for seed in range(40)]
    assert sum(c.verdict is Verdict.INCONCLUSIVE for c in causes) >= 38


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 50), st.sampled_from(["cpu_usage", "latency_avg"]))
def test_the_unit_of_a_metric_changes_nothing(factor: float, seed: int, metric: str) -> None:
    series = system.faulty(seed=seed)
    scaled = {key: values * factor if key[1] == metric else values for key, values in series.items()}
    assert order(diagnose(system.observe(scaled)))[:2] == order(diagnose(system.observe(series)))[:2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50))
def test_an_unrelated_healthy_node_changes_nothing(seed: int) -> None:
    series = system.faulty(seed=seed)
    flat = np.full(system.BASELINE + system.INCIDENT, 0.2)
    more = series | {("bystander", "cpu_usage"): flat, ("bystander", "latency_avg"): flat}
    before, after = diagnose(system.observe(series)), diagnose(system.observe(more))
    assert order(after)[0] == order(before)[0] == "leaf"
    assert after.verdict is before.verdict
    assert "bystander" not in order(after)[:3]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.lists(st.tuples(*[st.sampled_from([*system.NODES, "x", "y"])] * 2), max_size=12))
def test_every_path_ends_at_the_symptom_in_any_graph(seed: int, calls: list[tuple[str, str]]) -> None:
    causes = diagnose(system.observe(system.faulty(seed=seed), calls=tuple(sorted(set(calls)))))
    for cause in causes.candidates:
        assert cause.path.nodes[0] == cause.node
        assert cause.path.nodes[-1] == "entry"
        assert cause.path.cost == pytest.approx(sum(-math.log(e.strength) for e in cause.path.edges))
        assert [(e.cause, e.effect) for e in cause.path.edges] == list(
            zip(cause.path.nodes, cause.path.nodes[1:], strict=False)
        )


def test_a_cause_that_only_a_guess_ties_to_the_symptom_leaves_a_gap() -> None:
    series = {key: values for key, values in system.faulty().items() if key[0] == "leaf"}
    island = system.observe(system.quiet() | series, calls=(("entry", "side"), ("mid", "leaf")))
    causes = diagnose(island)
    first = causes.candidates[0]
    assert causes.verdict is Verdict.FOUND
    assert [(e.cause, e.effect, e.source) for e in first.path.edges] == [("leaf", "entry", "learned")]
    assert first.path.cost == pytest.approx(math.log(2))
    (gap,) = causes.gaps
    assert gap.what == "how leaf reaches entry"
    assert "guess" in gap.why
    assert "graph import" in gap.mend
    assert diagnose(system.observe(system.faulty())).gaps == ()


def test_asking_twice_and_in_another_order_gives_the_same() -> None:
    observation = system.observe(system.faulty())
    shuffled = dataclasses.replace(observation, calls=tuple(reversed(observation.calls)))
    assert diagnose(observation) == diagnose(observation) == diagnose(shuffled)


@pytest.mark.parametrize("values", [np.nan, 0.0, 7.0, 1e300, -1e300])
def test_empty_and_constant_series_are_harmless(values: float) -> None:
    series = system.faulty()
    length = system.BASELINE + system.INCIDENT
    odd = series | {(n, f"odd_{k}"): np.full(length, values) for n in system.NODES for k in range(2)}
    assert order(diagnose(system.observe(odd)))[0] == "leaf"


def test_nothing_observed_is_inconclusive_with_a_gap() -> None:
    causes = diagnose(system.observe({}, calls=()))
    assert causes.verdict is Verdict.INCONCLUSIVE
    assert causes.candidates == ()
    assert causes.gaps


def test_a_symptom_that_the_graph_does_not_hold_is_virtual_and_ends_every_path() -> None:
    causes = diagnose(system.observe(system.faulty()), system.scope(node=None, metric=None))
    assert order(causes)[0] == "leaf"
    assert {c.path.nodes[-1] for c in causes.candidates} == {"_symptom"}


def test_a_graph_without_the_symptom_gives_a_gap_not_an_error() -> None:
    scope, ranking = system.scope(), system.ranking()
    observation = system.observe(system.faulty())
    findings = detect(observation, scope, ranking)
    graph = link(findings, observation, scope, ranking)
    causes = rank(graph, findings, dataclasses.replace(scope, symptom_node="nowhere"), ranking)
    assert causes.verdict is Verdict.INCONCLUSIVE
    assert "nowhere" in causes.gaps[0].why


def test_why_not_can_be_checked_by_hand() -> None:
    causes = diagnose(system.observe(system.faulty()))
    first, second = causes.candidates[:2]
    assert first.why_not == ""
    for cause in (first, second):
        evidence = math.fsum(e.weight for e in cause.evidence)
        weight = evidence * math.exp(-cause.path.cost)
        assert f"{weight:.2f}" in second.why_not
    assert first.node in second.why_not
    assert first.score > second.score


def test_scores_are_probabilities_that_grow_with_the_weight() -> None:
    calibration = system.ranking()["calibration"]
    scores = [score(weight, 2.0, calibration) for weight in (1e-9, 0.1, 0.5, 1.0, 2.0)]
    assert scores == sorted(scores)
    assert 0.0 <= scores[0] < scores[-1] <= 1.0


@pytest.mark.parametrize(
    ("channel", "reason", "fault"),
    [
        ("resource", "member_cpu_usage 1 -> 9, 12.0 robust sigmas up", "cpu"),
        ("resource", "disk_used_bytes 1 -> 9; memory on another level", "disk"),
        ("budget", "9.0 of 9.0 excess failed requests per sample are its own", "errors"),
        ("budget", "9.0 of 9.0 excess busy seconds per sample are its own", "latency"),
        ("errors", "failures start in it: 0.0% -> 9.0% of its spans", "errors"),
        ("silence", "nothing heard of it in the last 9 samples", "crash"),
        ("change", "deployment: version 7", "change"),
        ("alert", "alert Slow", ""),
    ],
)
def test_the_fault_is_told_in_the_words_of_runbooks(channel: str, reason: str, fault: str) -> None:
    observation, scope, ranking = system.observe(system.quiet()), system.scope(), system.ranking()
    findings = Findings((), (), {channel: {"leaf": 1.0}}, {channel: {"leaf": reason}})
    (cause,) = rank(link(findings, observation, scope, ranking), findings, scope, ranking).candidates
    assert cause.fault == fault
    assert fault in (*FAULTS, "")


def test_two_faults_at_once_take_the_first_two_places() -> None:
    series = system.faulty("leaf")
    series["side", "cpu_usage"][-4:] += 0.6
    assert set(order(diagnose(system.observe(series)))[:2]) == {"leaf", "side"}


def test_the_source_cost_model_can_be_chosen_and_walks_around_the_fault() -> None:
    causes = diagnose(system.observe(system.faulty("leaf")), cost_model="source")
    assert causes.candidates
    assert order(causes)[0] != "leaf"
    assert all(c.path.cost < 8 and len(c.path.edges) <= 5 for c in causes.candidates)


def test_tasks_that_ask_for_no_cause_get_none() -> None:
    assert nothing_to_rank(Findings((), ())).candidates == ()


def test_what_was_learned_before_supports_evidence_and_accuses_nobody_alone() -> None:
    observation, scope, ranking = system.observe(system.faulty()), system.scope(), system.ranking()
    findings = detect(observation, scope, ranking)
    graph = link(findings, observation, scope, ranking)
    before, after = (
        rank(graph, findings, scope, ranking),
        rank(graph, findings, scope, ranking, {"leaf": 1.0, "x": 1.0}),
    )
    assert rank(graph, findings, scope, ranking, {}) == before
    (prior,) = (e for e in after.candidates[0].evidence if e.kind == "prior")
    assert prior.weight == pytest.approx(-math.log(1 - ranking["weights"]["prior"]))
    assert "x" not in order(after)


def test_two_faults_at_once_make_the_first_less_sure() -> None:
    series = system.faulty("leaf")
    alone = diagnose(system.observe(series))
    series["side", "cpu_usage"][-4:] += 0.6
    both = diagnose(system.observe(series))
    assert both.candidates[0].score < alone.candidates[0].score
    assert both.candidates[1].why_not


def test_where_everything_moves_alike_nothing_is_named() -> None:
    series = system.quiet()
    for key, values in series.items():
        if key[1] == "cpu_usage":
            values[-4:] += 0.6
    causes = diagnose(system.observe(series))
    assert causes.verdict is Verdict.INCONCLUSIVE
    assert "below" in causes.reason


def test_in_a_cycle_the_cause_is_found_and_the_cut_edge_is_told() -> None:
    observation = system.observe(system.faulty("leaf"), calls=(*system.EDGES, ("leaf", "mid"), ("side", "entry")))
    scope, ranking = system.scope(), system.ranking()
    findings = detect(observation, scope, ranking)
    graph = link(findings, observation, scope, ranking)
    assert {("entry", "side")} <= {(e.cause, e.effect) for e in graph.dropped}
    assert any({e.cause, e.effect} == {"leaf", "mid"} for e in graph.dropped)
    assert order(rank(graph, findings, scope, ranking))[0] == "leaf"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.permutations(["w", "alpha", "m-1", "entry2"]))
def test_names_decide_nothing(seed: int, others: list[str]) -> None:
    names = dict(zip(system.NODES, others, strict=True))
    series = system.faulty("mid", seed=seed)
    one = diagnose(system.observe(series))
    renamed = {(names[n], m): values for (n, m), values in series.items()}
    calls = tuple((names[a], names[b]) for a, b in system.EDGES)
    other = diagnose(system.observe(renamed, calls), system.scope(node=names["entry"]))
    told = {names[c.node]: c.score for c in one.candidates}
    assert told == pytest.approx({c.node: c.score for c in other.candidates})


def test_the_source_cost_model_takes_the_cheapest_of_the_short_ways() -> None:
    """A long way that costs less than a short one is no answer where only five edges are allowed."""
    chain = ["entry", "a", "b", "c", "d", "e", "leaf"]
    calls = (*pairwise(chain), ("entry", "leaf"))
    observation = system.observe(system.faulty("leaf"), calls=calls)
    scope, ranking = system.scope(), system.ranking(cost_model="source")
    findings = detect(observation, scope, ranking)
    graph = link(findings, observation, scope, ranking)
    edges = tuple(
        dataclasses.replace(e, strength=0.5 if (e.cause, e.effect) == ("leaf", "entry") else 0.99) for e in graph.edges
    )
    causes = rank(dataclasses.replace(graph, edges=edges), findings, scope, ranking)
    leaf = next(c for c in causes.candidates if c.node == "leaf")
    assert leaf.path.nodes == ("leaf", "entry")
