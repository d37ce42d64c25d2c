"""Scope: time, reach and queries of a task."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from aiops import resources, rules
from aiops.adapters.sqlite import GraphDB
from aiops.domain import Call, Inputs, Intent, Symptom, Task, TimeRange
from aiops.errors import UsageError
from aiops.stages.scope import LOOK_BACK, MOST_ALONE, queries, scope_of

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
ENTITIES = rules.load(resources.folder("rules")).entities


def task(**inputs: object) -> Task:
    return Task("test_task", Intent.DIAGNOSE, Inputs(**inputs))  # type: ignore[arg-type]


@pytest.fixture
def graph():
    db = GraphDB(":memory:")
    db.upsert([Call("web", "cart", "declared"), Call("cart", "db", "declared"), Call("far", "away", "declared")])
    yield db
    db.close()


def test_a_symptom_reads_the_hour_before_it(graph: GraphDB) -> None:
    scope = scope_of(task(symptom=Symptom("cart", None, AT)), None, graph, ENTITIES)
    assert scope.baseline == TimeRange(AT - LOOK_BACK, AT)
    assert scope.incident.start == AT
    assert scope.nodes == ("cart", "db", "web")
    assert not scope.gaps


def test_an_unknown_symptom_reads_everything_and_says_so(graph: GraphDB) -> None:
    scope = scope_of(task(symptom=Symptom("nobody", None, AT)), None, graph, ENTITIES)
    assert scope.nodes == ()
    assert "nobody" in scope.gaps[0].what


def test_a_window_is_the_incident_and_the_hour_before_it_the_baseline(graph: GraphDB) -> None:
    window = TimeRange(AT, AT + timedelta(minutes=30))
    scope = scope_of(task(window=window, services=("cart",)), None, graph, ENTITIES)
    assert scope.incident == window
    assert scope.baseline == TimeRange(AT - LOOK_BACK, AT)


@pytest.mark.parametrize("inputs", [{"window": TimeRange(AT, AT)}, {}])
def test_no_time_is_an_error(graph: GraphDB, inputs: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="time"):
        scope_of(task(**inputs), None, graph, ENTITIES)


def test_a_time_outside_the_recording_is_an_error(graph: GraphDB) -> None:
    with pytest.raises(UsageError, match="lies outside"):
        scope_of(
            task(symptom=Symptom(at=AT)), TimeRange(AT - timedelta(days=2), AT - timedelta(days=1)), graph, ENTITIES
        )


def test_names_from_outside_cannot_leave_their_string() -> None:
    evil = 'x"} or vector(1) or y{z="\\'
    for query in queries([evil], ENTITIES):
        assert re.fullmatch(r'\{\w+=~"(?:[^"\\\n]|\\.)*"\}', query.text), query.text


def test_what_nothing_ties_to_anything_is_read_too(graph: GraphDB) -> None:
    """Nobody knows that it can't be the cause."""
    graph.upsert([Call("queue", "queue", "labels")])
    scope = scope_of(task(symptom=Symptom("cart", None, AT)), None, graph, ENTITIES)
    assert scope.nodes == ("cart", "db", "queue", "web")
    graph.upsert([Call(f"alone-{i}", f"alone-{i}", "labels") for i in range(MOST_ALONE)])
    everything = scope_of(task(symptom=Symptom("cart", None, AT)), None, graph, ENTITIES)
    assert everything.nodes == ()


def test_a_graph_that_fails_costs_only_what_it_knew(graph: GraphDB) -> None:
    graph.close()
    scope = scope_of(task(symptom=Symptom("cart", None, AT)), None, graph, ENTITIES)
    assert scope.nodes == ()
    (gap,) = scope.gaps
    assert "closed" in gap.why
