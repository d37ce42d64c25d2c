"""What a diagnosis leaves in the graph: what it observed, what stood out, and nothing that would change the next ranking."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import aiops
from aiops import pipeline, resources, rules
from aiops.adapters.sqlite import GraphDB
from aiops.domain import (
    Alert,
    Anomaly,
    Call,
    Direction,
    Entity,
    EntityKind,
    Event,
    EventKind,
    Inputs,
    Intent,
    Observation,
    Panel,
    Report,
    Scope,
    Sighting,
    Spans,
    Symptom,
    Task,
    TimeRange,
    Verdict,
)
from aiops.domain import Logs as LogLines
from aiops.errors import SourceRefused
from aiops.ops import Ops
from aiops.ports import LONGEST_NAME
from aiops.stages.learn import MOST, dependencies, sightings, strength

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def anomaly(node: str, metric: str, at: datetime, score: float = 3.0) -> Anomaly:
    return Anomaly(node, metric, at, Direction.UP, score, 0, (0.0, 1.0), 2.0)


def event(kind: EventKind, node: str, what: str, at: datetime, template: str = "") -> Event:
    return Event(kind, node, what, at, 1.0, "in words", template=template)


def report(anomalies: tuple[Anomaly, ...], events: tuple[Event, ...] = ()) -> Report:
    return Report(
        id="id",
        verdict=Verdict.FOUND,
        summary=("", "", ""),
        task=Task("diagnose_it", Intent.DIAGNOSE),
        symptom=Symptom("web", None, NOON),
        root_causes=(),
        anomalies=anomalies,
        events=events,
        gaps=(),
        remediation=None,
        charts=(),
        dropped=(),
        versions={},
        hashes={},
    )


def observation(calls: tuple[Call, ...] = (), nodes: tuple[str, ...] = ()) -> Observation:
    times = np.array([0, 1], np.int64)
    labels = tuple({"__name__": f"m{i}"} for i in range(len(nodes)))
    panel = Panel(labels, times, np.zeros((len(nodes), 2)), nodes, np.array([False, True]))
    return Observation(panel, LogLines.empty(), Spans.empty(), calls=calls)


SCOPE = Scope(NOON, TimeRange(NOON - HOUR, NOON), TimeRange(NOON, NOON + HOUR))


def test_only_what_was_observed_now_is_kept():
    calls = (
        Call("web", "cart", "traces", "CALLS", NOON, NOON),
        Call("web", "host", "labels", "RUNS_ON", NOON, NOON),
        Call("cart", "db", "service-graph", "CALLS", NOON - 2 * HOUR, NOON - HOUR),
        Call("web", "old", "traces", "CALLS", NOON - 9 * HOUR, NOON - 8 * HOUR),
        Call("web", "told", "declared"),
        Call("web", "guess", "learned", "CALLS", NOON, NOON),
        Call("web", "timeless", "traces"),
    )
    assert dependencies(observation(calls), SCOPE) == calls[:3]


def test_what_no_observed_call_ties_to_anything_is_kept_as_a_node():
    """Also what only a declaration ties, which may stand in the rules and not in the store."""
    calls = (Call("web", "db", "declared"), Call("web", "cart", "traces", "CALLS", NOON, NOON))
    seen = observation(calls, ("web", "cart", "db", "queue", "_entry", ""))
    assert dependencies(seen, SCOPE) == (calls[1], Call("db", "db", "labels"), Call("queue", "queue", "labels"))


def entity(kind: EntityKind, service: str, name: str = "") -> Entity:
    return Entity(kind, service, name)


def test_what_stood_out_is_tied_together():
    cpu, latency = anomaly("cart", "cpu", NOON), anomaly("web", "latency", NOON + 30 * SECOND)
    events = (
        event(EventKind.CHANGE, "cart", "deploy", NOON - 60 * SECOND),
        event(EventKind.ALERT, "web", "HighLatency", NOON + 60 * SECOND),
        event(EventKind.LOG, "cart", "new", NOON + SECOND, "no route to *"),
        event(EventKind.SPAN, "cart", "self_time", NOON),
    )
    found = sightings(report((cpu, latency), events), observation((Call("web", "cart", "traces"),)))
    assert found == tuple(sorted(found, key=lambda one: one.key))
    change = entity(EntityKind.CHANGE, "cart", "deploy 2026-03-01T11:59:00Z in words")
    template = entity(EntityKind.LOG_TEMPLATE, "cart", "no route to *")
    load, slow = entity(EntityKind.METRIC, "cart", "cpu"), entity(EntityKind.METRIC, "web", "latency")
    alert = entity(EntityKind.ALERT, "web", "HighLatency")
    ties = {(one.cause, one.kind, one.effect, one.source, one.lag / SECOND) for one in found}
    assert ties == {
        (entity(EntityKind.SERVICE, "cart"), "CONTAINS", change, "changes", 0),
        (entity(EntityKind.SERVICE, "cart"), "CONTAINS", template, "logs", 0),
        (entity(EntityKind.SERVICE, "cart"), "CONTAINS", load, "metrics", 0),
        (entity(EntityKind.SERVICE, "web"), "CONTAINS", slow, "metrics", 0),
        (entity(EntityKind.SERVICE, "web"), "CONTAINS", alert, "alerts", 0),
        (change, "TRIGGERS", load, "learned", 60),
        (change, "TRIGGERS", template, "learned", 61),
        (slow, "TRIGGERS", alert, "learned", 30),
        (load, "CORRELATES_WITH", slow, "learned", 30),
    }
    assert all(0 < one.strength <= 1 for one in found)


def test_strength_is_closeness_in_time_and_common_words():
    assert strength(timedelta(0), "a", "b") == pytest.approx(0.7)
    assert strength(8 * SECOND, "cpu_load", "CpuLoad") == 1.0
    assert strength(98 * SECOND, "a", "b") == strength(-98 * SECOND, "a", "b") == pytest.approx(0.35)
    assert strength(timedelta(days=10**6), "x", "y") == pytest.approx(0.07)
    assert strength(timedelta(0), "cart_cpu_load", "cart cpu") == pytest.approx(0.7 + 0.3 * 2 / 3)
    assert strength(timedelta(0), "", "") == pytest.approx(0.7)


def test_nodes_that_do_not_depend_on_each_other_do_not_correlate():
    seen = report((anomaly("cart", "cpu", NOON), anomaly("web", "latency", NOON)))
    assert {one.kind for one in sightings(seen, observation())} == {"CONTAINS"}


def test_a_storm_is_bounded_and_virtual_nodes_are_left_out():
    storm = tuple(anomaly("n", f"m{i}", NOON + i * SECOND) for i in range(60))
    alerts = tuple(event(EventKind.ALERT, "n", f"A{i}", NOON + HOUR) for i in range(60))
    found = sightings(report((*storm, anomaly("_entry", "slow", NOON)), alerts), observation())
    assert len(found) == 2 * MOST
    assert {one.cause.service for one in found} == {"n"}


def test_the_same_twice_is_one_sighting():
    twice = event(EventKind.ALERT, "n", "Slow", NOON), event(EventKind.ALERT, "n", "Slow", NOON + HOUR)
    (one,) = sightings(report((), twice), observation())
    assert (one.first_seen, one.last_seen) == (NOON, NOON + HOUR)


# ---------------------------------------------------------------- a whole diagnosis


def asked(case: Path | None = None, **flags: str) -> Ops:
    return aiops.connect(f"case:{case or resources.demo_incident()}", flags={"model.url": "", **flags}, keep=False)


@pytest.fixture
def untold(tmp_path: Path) -> Path:
    """The demo incident without what it states about its dependencies: its traces have to tell."""
    case = tmp_path / "case"
    shutil.copytree(resources.demo_incident(), case, ignore=lambda _, names: {"topology.json"} & set(names))
    return case


def test_a_diagnosis_teaches_the_graph_and_reports_the_same_again(tmp_path: Path, untold: Path):
    with asked(untold, **{"stores.graph": f"sqlite:{tmp_path / 'graph.db'}"}) as ops:
        first = ops.diagnose()
        graph = ops.sources.graph
        learned, seen = tuple(graph.calls()), graph.sightings()
        again = ops.diagnose()
        assert tuple(graph.calls()) == learned
        assert graph.sightings() == seen
    assert learned
    assert {call.source for call in learned} <= {"traces", "service-graph", "labels"}
    assert {one.kind for one in seen} >= {"CONTAINS", "CORRELATES_WITH"}
    assert replace(again, run={}, gaps=first.gaps) == replace(first, run={})


def test_a_recorded_incident_does_not_teach_another_system(tmp_path):
    with aiops.connect(f"case:{resources.demo_incident()}", home=str(tmp_path), flags={"model.url": ""}) as ops:
        ops.diagnose()
    with aiops.connect(home=str(tmp_path), flags={"model.url": ""}) as ops:
        assert not ops.sources.graph.calls()
        assert not ops.sources.graph.sightings()


def test_a_graph_that_refuses_costs_no_report(caplog: pytest.LogCaptureFixture):
    with asked() as ops:
        report = ops.diagnose()
        ops.sources.graph.close()
        again = ops.run(report.task)
    assert again.verdict == report.verdict
    assert any("the graph has not taken" in message for message in caplog.messages)
    assert any("closed" in gap.why for gap in again.gaps)


class Refusing(GraphDB):
    """Keeps what it is given and raises all the same, as a mirror does whose other side refuses."""

    def upsert(self, calls: Iterable[Call], *, post: bool = False) -> int:
        super().upsert(calls, post=post)
        raise SourceRefused("writing", "the graph", "wrong user or password")


def test_a_refused_dependency_costs_no_sighting():
    rule = rules.load(resources.folder("rules"))
    with asked() as ops, contextlib.closing(Refusing(":memory:")) as graph:
        task = Task("diagnose_it", Intent.DIAGNOSE, Inputs(symptom=ops.sources.metrics.symptom()))
        recording = pipeline.record("id", task, ops.sources, rule, 20)
        with pytest.raises(SourceRefused):
            pipeline.remember(recording, pipeline.conclude(recording, rule, {}), graph, NOON - HOUR)
        assert graph.nodes()
        assert graph.sightings()


def test_names_too_long_for_any_graph_cost_only_themselves():
    long = "n" * (LONGEST_NAME + 1)
    calls = tuple(Call(*ends, "traces", "CALLS", NOON, NOON) for ends in (("web", "cart"), ("web", long)))
    assert dependencies(replace(observation(), calls=calls), SCOPE) == calls[:1]
    found = sightings(report((), (event(EventKind.LOG, "web", "lost", NOON, "结" * LONGEST_NAME),)), observation())
    assert [len(one.effect.name.encode()) for one in found] == [LONGEST_NAME // 3 * 3]


def test_what_is_not_seen_again_is_forgotten():
    rule = rules.load(resources.folder("rules"))
    graph = GraphDB(":memory:")
    graph.upsert(
        [Call("old", "older", "traces", "CALLS", NOON - 50 * HOUR, NOON - 49 * HOUR), Call("a", "b", "declared")]
    )
    thing = Entity(EntityKind.METRIC, "old", "cpu")
    graph.note([Sighting(thing, thing, "TRIGGERS", "learned", 0.5, timedelta(0), NOON - 49 * HOUR, NOON - 49 * HOUR)])
    with asked() as ops:
        task = Task("diagnose_it", Intent.DIAGNOSE, Inputs(symptom=ops.sources.metrics.symptom()))
        recording = pipeline.record("id", task, ops.sources, rule, 20)
    pipeline.remember(recording, pipeline.conclude(recording, rule, {}), graph, NOON - 48 * HOUR)
    assert "old" not in graph.nodes()
    assert not graph.sightings(["old"])
    assert Call("a", "b", "declared") in graph.calls()
    graph.close()


def test_an_alert_without_a_node_is_no_sighting():
    nameless = Alert("f", "firing", {"alertname": "Slow"}, {}, NOON)
    assert sightings(report((), (event(EventKind.ALERT, "", nameless.name, NOON),)), observation()) == ()
