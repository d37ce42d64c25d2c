"""What feedback may do to a ranking: settle what is close, in sight, and nothing else."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system

from aiops.domain import CausalGraph, Feedback, Findings, Prior, Verdict
from aiops.stages.detect import detect
from aiops.stages.link import link
from aiops.stages.priors import recall, strengths, with_reasons
from aiops.stages.rank import rank

SCOPE, RANKING = system.scope(), system.ranking()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(*causes: str) -> list[Feedback]:
    """One report each; `-x` says that it was not x."""
    return [
        Feedback(f"r{i}", "entry", cause.removeprefix("-"), cause.startswith("-"), "", NOW)
        for i, cause in enumerate(causes)
    ]


def found(seed: int | None = 0, **channel: float) -> tuple[CausalGraph, Findings]:
    """Graph and findings of the system, faulty or quiet (`seed` None: faulty), with these strengths in one channel instead."""
    observation = system.observe(system.faulty() if seed is None else system.quiet(seed))
    findings = detect(observation, SCOPE, RANKING)
    if channel:
        findings = dataclasses.replace(findings, channels={"resource": channel})
    return link(findings, observation, SCOPE, RANKING), findings


def test_confirmed_causes_are_counted_among_all_that_was_told() -> None:
    assert recall([]) == ()
    assert recall(told("-mid")) == ()
    assert recall(told("side", "mid", "side", "-side", "-leaf")) == (Prior("mid", 1, 3), Prior("side", 2, 4))


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_strength_grows_with_confirmations_and_stays_below_one(confirmed: int, others: int) -> None:
    def strength(count: int) -> float:
        return strengths([Prior("x", count, count + others)], RANKING)["x"]

    assert 0 < strength(confirmed) < strength(confirmed + 1) < 1


def test_a_close_second_that_was_confirmed_thrice_comes_first_and_says_why() -> None:
    graph, findings = found(mid=0.60, side=0.55)
    before = rank(graph, findings, SCOPE, RANKING)
    priors = recall(told("side", "side", "side", "mid", "leaf"))
    after = rank(graph, with_reasons(findings, priors, "entry"), SCOPE, RANKING, strengths(priors, RANKING))
    assert [c.node for c in before.candidates] == ["mid", "side"]
    assert [c.node for c in after.candidates] == ["side", "mid"]
    (shown,) = (e for e in after.candidates[0].evidence if e.kind == "prior")
    assert shown.weight == pytest.approx(-math.log(1 - 0.3 * 3 / (5 + 2)))
    assert shown.summary == f"prior: confirmed as the cause in 3 of 5 reports on entry, +{shown.weight:.2f}"
    assert sum(e.weight for e in after.candidates[0].evidence) == pytest.approx(shown.weight - math.log(1 - 0.9 * 0.55))


def test_no_feedback_however_much_overrides_clear_evidence() -> None:
    graph, findings = found(mid=0.9, side=0.4)
    causes = rank(graph, findings, SCOPE, RANKING, {"side": 1.0})
    assert causes.candidates[0].node == "mid"


def test_a_node_without_evidence_is_not_accused() -> None:
    graph, findings = found(mid=0.9)
    causes = rank(graph, findings, SCOPE, RANKING, {"side": 1.0, "nobody": 1.0})
    assert [c.node for c in causes.candidates] == ["mid"]


STRENGTHS = st.dictionaries(st.sampled_from(system.NODES), st.floats(0, 1), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.none(), st.integers(0, 40)), STRENGTHS)
def test_no_prior_changes_a_verdict(seed: int | None, priors: dict[str, float]) -> None:
    graph, findings = found(seed)
    before, after = rank(graph, findings, SCOPE, RANKING), rank(graph, findings, SCOPE, RANKING, priors)
    assert after.verdict is before.verdict
    if after.verdict is Verdict.INCONCLUSIVE:
        assert after.reason == before.reason


def test_without_feedback_nothing_changes() -> None:
    _, findings = found()
    assert with_reasons(findings, (), "entry") is findings
    assert strengths((), RANKING) == {}
