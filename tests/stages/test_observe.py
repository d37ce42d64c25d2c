"""Observe: sources are read together, and each failure is a gap unless all fail."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from aiops import resources, rules
from aiops.adapters.case import CaseLogs, CaseMetrics, CaseTraces
from aiops.adapters.sqlite import GraphDB
from aiops.domain import Call, Calls, Gap, Inputs, Intent, Labels, Logs, Panel, Scope, Task, TimeRange
from aiops.errors import SourceError, SourceUnreachable
from aiops.stages.observe import filtered, look_up, observe

RULES = rules.load(resources.folder("rules"))
NAMES = RULES.entities, RULES.topology
DEMO = resources.demo_incident()


def scope() -> Scope:
    metrics = CaseMetrics(DEMO)
    window, at = metrics.window(), metrics.symptom().at
    return Scope(at, TimeRange(window.start, at), TimeRange(at, window.end))


class Down:
    """A source that is down: the port's failure, nothing else."""

    def read(self, *asked: object):
        raise SourceUnreachable("metrics", "http://127.0.0.1:1", "connection refused")

    calls = catalog = window = symptom = ping = read


class Slow:
    """A source that answers when it is too late."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def read(self, scope: Scope, timeout: float) -> Logs:
        self.release.wait(60)
        return Logs.empty()


@pytest.fixture
def graph():
    db = GraphDB(":memory:")
    yield db
    db.close()


def test_everything_is_read_together(graph: GraphDB) -> None:
    seen = observe(scope(), CaseMetrics(DEMO), CaseLogs(DEMO), CaseTraces(DEMO), None, graph, (), *NAMES, 30)
    assert len(seen.panel.labels) > 100
    assert len(seen.logs) > 100
    assert len(seen.spans) > 100
    assert seen.calls
    assert [g.what for g in seen.gaps] == ["changes"]
    assert seen.panel.incident.any()
    assert not seen.panel.incident.all()
    assert set(seen.logs.nodes) <= set(seen.panel.nodes)


def test_a_failure_is_a_gap(graph: GraphDB) -> None:
    seen = observe(scope(), Down(), CaseLogs(DEMO), CaseTraces(DEMO), None, graph, (), *NAMES, 30)
    gap = next(g for g in seen.gaps if g.what == "metrics")
    assert "connection refused" in gap.why
    assert gap.mend
    assert len(seen.logs)


def test_a_late_answer_is_a_gap(graph: GraphDB) -> None:
    slow = Slow()
    try:
        seen = observe(scope(), Unlabelled(), slow, None, None, graph, (), *NAMES, 2.0)
    finally:
        slow.release.set()
    assert any(g.what == "logs" and "no answer within 2 s" in g.why for g in seen.gaps)


def test_nothing_at_all_is_an_error(graph: GraphDB) -> None:
    with pytest.raises(SourceError, match="connection refused"):
        observe(scope(), Down(), None, None, None, graph, (), *NAMES, 5)


class Unlabelled:
    def read(self, scope: Scope, timeout: float) -> Panel:
        labels: tuple[Labels, ...] = ({"__name__": "up", "service": "a"}, {"__name__": "up", "colour": "blue"})
        return Panel(labels, np.array([1, 2]), np.zeros((2, 2)), ("", ""), np.array([False, True]))

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:
        return ()


def test_a_series_without_a_node_is_a_gap(graph: GraphDB) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    where = Scope(at, TimeRange(at - timedelta(1), at), TimeRange(at, at + timedelta(1)))
    seen = observe(where, Unlabelled(), None, None, None, graph, (), *NAMES, 5)
    assert seen.panel.nodes == ("a", "")
    assert any("blue" in g.why for g in seen.gaps)


class Counting(Unlabelled):
    def read(self, scope: Scope, timeout: float) -> Panel:
        labels: tuple[Labels, ...] = (
            {"__name__": "requests_total", "service": "a"},
            {"__name__": "temperature", "service": "a"},
        )
        times = np.arange(4, dtype=np.int64) * 10**9
        values = np.array([[0.0, 5.0, 10.0, 15.0], [20.0, 21.0, 20.0, 21.0]])
        return Panel(labels, times, values, ("", ""), np.array([False, False, False, True]))


def test_counters_are_seen_as_rates(graph: GraphDB) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    where = Scope(at, TimeRange(at - timedelta(1), at), TimeRange(at, at + timedelta(1)))
    panel = observe(where, Counting(), None, None, None, graph, (), *NAMES, 5).panel
    assert panel.metrics == ("rate(requests_total)", "temperature")
    np.testing.assert_array_equal(panel.values[0, 1:], 5.0)
    np.testing.assert_array_equal(panel.values[1], [20.0, 21.0, 20.0, 21.0])


def test_a_symptom_that_nothing_mentions_is_a_gap(graph: GraphDB) -> None:
    asked = dataclasses.replace(scope(), symptom_node="nobody")
    seen = observe(asked, CaseMetrics(DEMO), None, None, None, graph, (), *NAMES, 30)
    assert any(g.what == "symptom nobody" for g in seen.gaps)
    asked = dataclasses.replace(scope(), symptom_node="ts-gateway-service")
    seen = observe(asked, CaseMetrics(DEMO), None, None, None, graph, (), *NAMES, 30)
    assert not any(g.what.startswith("symptom") for g in seen.gaps)


class Related(Unlabelled):
    """A source whose metrics state that `a`, which was asked about, calls `new`, and `far` calls `further`."""

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:
        name = "traces_service_graph_request_total"
        pairs = (("a", "new"), ("far", "further"), ("a", "known"), ("a", "a"))
        return tuple({"__name__": name, "client": client, "server": server} for client, server in pairs)


def test_a_dependency_learned_too_late_to_be_read_is_a_gap(graph: GraphDB) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    graph.upsert([Call("a", "known", "traces")])
    asked = Scope(at, TimeRange(at - timedelta(1), at), TimeRange(at, at + timedelta(1)), nodes=("a",))
    seen = observe(asked, Related(), None, None, None, graph, (), *NAMES, 5)
    (gap,) = (g for g in seen.gaps if "learned" in g.why)
    assert gap.what == "what new measured"
    assert {(c.caller, c.callee, c.last_seen) for c in seen.calls} >= {("a", "new", at), ("far", "further", at)}
    everything = dataclasses.replace(asked, nodes=())
    again = observe(everything, Related(), None, None, None, graph, (), *NAMES, 5)
    assert not any("learned" in g.why for g in again.gaps)


def test_what_the_graph_says_about_itself_is_a_gap(graph: GraphDB) -> None:
    class Stale:
        def calls(self, nodes: object = (), hops: int = 0) -> Calls:
            return Calls.of([Call("a", "b", "traces")], (Gap("dependencies", "out of date"),))

    at = datetime(2026, 1, 1, tzinfo=UTC)
    asked = Scope(at, TimeRange(at - timedelta(1), at), TimeRange(at, at + timedelta(1)))
    seen = observe(asked, Unlabelled(), None, None, None, Stale(), (), *NAMES, 5)
    assert Gap("dependencies", "out of date") in seen.gaps
    assert [(c.caller, c.callee) for c in seen.calls] == [("a", "b")]


# ---------------------------------------------------------------- label filters


def labelled(*labels: Labels) -> Panel:
    count = len(labels)
    return Panel(labels, np.arange(2, dtype=np.int64), np.zeros((count, 2)), ("cart",) * count, np.array([False, True]))


PRODUCTION, STAGING = {"__name__": "qps", "environment": "Production"}, {"__name__": "qps", "environment": "stage"}
BARE, OTHER = {"__name__": "qps"}, {"__name__": "cpu"}


def test_a_label_filter_leaves_what_does_not_contradict_it() -> None:
    kept, gaps = filtered(labelled(PRODUCTION, STAGING, BARE, OTHER), ("env=prod", "qps>5"))
    assert kept.labels == (PRODUCTION, OTHER), "a series without the label is kept where none of its metric has it"
    assert gaps == ()


def test_a_label_that_no_series_has_is_a_gap_and_so_is_a_value_that_none_has() -> None:
    kept, (gap,) = filtered(labelled(PRODUCTION, OTHER), ("region=eu-west-1",))
    assert len(kept.labels) == 2
    assert gap.what == "filter region=eu-west-1"
    assert "no series that was read has a label region" in gap.why
    kept, (gap,) = filtered(labelled(PRODUCTION, STAGING), ("env=qa",))
    assert kept.labels == ()
    assert "Production, stage" in gap.why


def test_what_has_no_labels_is_not_filtered_and_says_so(graph: GraphDB) -> None:
    told = observe(
        scope(), CaseMetrics(DEMO), CaseLogs(DEMO), CaseTraces(DEMO), None, graph, (), *NAMES, 30.0, ("env=prod",)
    )
    whats = [gap.what for gap in told.gaps]
    assert "filter env=prod" in whats
    assert "filter env=prod on logs and traces" in whats


def test_a_query_reads_what_it_asks_for_and_nothing_else() -> None:
    asked = Task("query", Intent.QUERY, Inputs(services=("ts-order-service",), metrics=("CpuUsageRate",)))
    within = dataclasses.replace(scope(), nodes=("ts-order-service",))
    told = look_up(within, asked, CaseMetrics(DEMO), RULES.entities, 30.0)
    assert (told.panel.nodes, told.panel.metrics) == (("ts-order-service",), ("CpuUsageRate",))
    assert not len(told.logs)
    with pytest.raises(SourceError):
        look_up(within, asked, Down(), RULES.entities, 30.0)
