"""Topology from labels and spans: what each product's metrics state, and that nothing else states anything."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from aiops import recording, resources, rules
from aiops.adapters.sqlite import GraphDB
from aiops.domain import NS, Call, Labels, Panel, Scope, Spans, TimeRange, from_ns
from aiops.errors import ConfigError
from aiops.stages.observe import observe
from aiops.stages.topology import calls_of_labels, calls_of_panel, calls_of_spans, merged

RULES = rules.load(resources.folder("rules"))


def edges(*series: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    found = calls_of_labels(series, RULES.topology, RULES.entities)
    return [(c.caller, c.callee, c.kind, c.source) for c in found]


CALLS = [
    ({"__name__": "traces_service_graph_request_total", "client": "web", "server": "cart"}),
    ({"__name__": "traces_service_graph_request_failed_total", "client": "web", "server": "cart", "job": "tempo"}),
    (
        {
            "__name__": "istio_requests_total",
            "reporter": "source",
            "source_workload": "web",
            "destination_workload": "cart",
            "destination_service_name": "cart.shop.svc.cluster.local",
            "pod": "web-5d9f8b6c5d-x2x4z",
        }
    ),
    ({"__name__": "istio_tcp_connections_opened_total", "source_canonical_service": "web", "destination_canonical_service": "cart"}),
    ({"__name__": "istio_requests_total", "source_workload": "web", "destination_workload": "unknown", "destination_service_name": "cart"}),
    ({"__name__": "response_total", "direction": "outbound", "deployment": "web", "dst_deployment": "cart"}),
    ({"__name__": "request_total", "direction": "outbound", "pod": "web-5d9f8b6c5d-x2x4z", "dst_service": "cart"}),
    ({"__name__": "hubble_http_requests_total", "source_workload": "web", "destination_workload": "cart"}),
    ({"__name__": "hubble_http_requests_total", "source": "shop/web", "destination": "shop/cart"}),
    (
        {
            "__name__": "hubble_http_requests_total",
            "method": "GET",
            "protocol": "HTTP/1.1",
            "status": "200",
            "reporter": "client",
            "source": "shop/web-5d9f8b6c5d-x2x4z",
            "destination": "shop/cart-0",
        }
    ),
    ({"__name__": "hubble_tcp_flags_total", "family": "IPv4", "flag": "SYN", "source": "shop/web", "destination": "shop/cart"}),
    (
        {
            "__name__": "outbound_http_route_backend_requests_total",
            "deployment": "web",
            "pod": "web-5d9f8b6c5d-x2x4z",
            "parent_group": "core",
            "parent_kind": "Service",
            "parent_namespace": "shop",
            "parent_name": "cart",
            "route_kind": "HTTPRoute",
            "route_name": "default",
            "backend_group": "core",
            "backend_kind": "Service",
            "backend_namespace": "shop",
            "backend_name": "cart",
            "backend_port": "8080",
        }
    ),
    (
        {
            "__name__": "envoy_cluster_upstream_rq_total",
            "local_cluster": "web",
            "consul_source_service": "web",
            "consul_source_datacenter": "dc1",
            "consul_destination_service": "cart",
            "envoy_cluster_name": "cart",
            "service": "consul-mesh-metrics",
        }
    ),
    ({"__name__": "envoy_cluster_upstream_rq_total", "local_cluster": "web", "envoy_cluster_name": "cart"}),
    ({"__name__": "envoy_cluster_upstream_cx_total", "app": "web", "envoy_cluster_name": "outbound|80||cart.shop.svc.cluster.local"}),
]  # fmt: skip


@pytest.mark.parametrize("labels", CALLS, ids=lambda labels: labels["__name__"])
def test_every_product_states_the_call(labels: dict[str, str]):
    assert edges(labels) == [("web", "cart", "CALLS", "service-graph")]


@pytest.mark.parametrize(
    "labels",
    [
        {"__name__": "http_requests_total", "client": "web", "server": "cart"},
        {"__name__": "traces_service_graph_request_total", "client": "web"},
        {"__name__": "traces_service_graph_request_total", "client": "user", "server": "web"},
        {"__name__": "traces_service_graph_request_total", "client": "web", "server": "web"},
        {"__name__": "istio_requests_total", "source_workload": "unknown", "destination_workload": "cart"},
        {"__name__": "request_total", "direction": "inbound", "deployment": "web", "dst_deployment": "cart"},
        {"__name__": "request_total", "deployment": "web", "dst_deployment": "cart"},
        {"__name__": "hubble_flows_processed_total", "source_workload": "web", "destination_workload": "cart"},
        {"__name__": "hubble_tcp_flags_total", "flag": "SYN-ACK", "source": "shop/cart", "destination": "shop/web"},
        {"__name__": "hubble_tcp_flags_total", "flag": "SYN", "source": "shop/web", "destination": "reserved:world"},
        {
            "__name__": "outbound_http_route_backend_requests_total",
            "pod": "web-0",
            "backend_kind": "default",
            "backend_name": "unknown",
        },
        {"__name__": "envoy_cluster_upstream_rq_total", "app": "web", "envoy_cluster_name": "inbound|8080||"},
        {
            "__name__": "envoy_cluster_upstream_rq_total",
            "app": "web",
            "envoy_cluster_name": "inbound|8080||cart.shop.svc.cluster.local",
        },
        {
            "__name__": "envoy_cluster_upstream_rq_total",
            "consul_source_service": "web",
            "envoy_cluster_name": "local_app",
        },
        {"__name__": "envoy_cluster_upstream_rq_total", "app": "web", "envoy_cluster_name": "xds-grpc"},
        {"__name__": "envoy_cluster_upstream_rq_total", "app": "web", "envoy_cluster_name": "BlackHoleCluster"},
        {"__name__": "kube_node_info", "node": "host-1", "instance": "10.0.0.9:8080"},
        {"__name__": "kube_pod_status_phase", "pod": "web-5d9f8b6c5d-x2x4z", "node": "host-1"},
        {"service": "web"},
        {},
    ],
    ids=str,
)
def test_nothing_else_states_anything(labels: dict[str, str]):
    assert edges(labels) == []


RUNS_ON = ("web", "host-1", "RUNS_ON", "labels")


def test_a_workload_whose_name_ends_like_a_pod_keeps_it():
    """Kubernetes' own suffixes have no vowels, so that they never form a word."""
    flow = {"__name__": "hubble_http_requests_total", "source": "shop/web", "destination": "shop/checkout-redis"}
    assert edges(flow) == [("web", "checkout-redis", "CALLS", "service-graph")]


def test_a_pod_runs_on_its_node():
    info = {"__name__": "kube_pod_info", "pod": "web-5d9f8b6c5d-x2x4z", "node": "host-1", "host_ip": "10.0.0.1"}
    assert edges({**info, "instance": "10.3.0.7:8080", "job": "kube-state-metrics"}) == [RUNS_ON]
    watched = {"__name__": "node_load1", "job": "node-exporter", "instance": "10.0.0.1:9100"}
    assert edges(info, watched) == [("web", "10.0.0.1", "RUNS_ON", "labels")]


def test_what_a_scrape_writes_beside_a_pod():
    usage = {"__name__": "container_cpu_usage_seconds_total", "pod": "web-5d9f8b6c5d-x2x4z", "node": "host-1"}
    assert edges(usage) == [RUNS_ON]


def test_an_address_is_a_host_only_where_the_host_is_watched():
    up = {"__name__": "up", "service": "web", "instance": "host-1:8080"}
    assert edges(up) == []
    assert edges(up, {"__name__": "node_load1", "job": "node-exporter", "instance": "host-1:9100"}) == [RUNS_ON]


def test_order_and_repeats_change_nothing():
    series = [labels for labels in CALLS for _ in range(2)]
    random.Random(5).shuffle(series)
    assert edges(*series) == edges(*CALLS)
    many = [{**CALLS[0], "server": name} for name in ("b", "a", "c")]
    assert edges(*many) == sorted(edges(*many[::-1]))


def test_names_are_data():
    strange = ["a|b", "a\nb", "]; drop", "ünï漢字", "..", "/", "|||"]
    found = edges(*({**CALLS[0], "server": name} for name in strange))
    assert {callee for _, callee, _, _ in found} == set(strange)


def test_only_series_with_a_sample_count():
    labels = ({**CALLS[0], "server": "a"}, {**CALLS[0], "server": "b"})
    values = np.array([[np.nan, np.nan], [np.nan, 0.0]])
    panel = Panel(labels, np.array([1, 2]), values, ("", ""), np.array([False, True]))
    assert [c.callee for c in calls_of_panel(panel, RULES.topology, RULES.entities)] == ["b"]
    assert calls_of_panel(Panel.empty(), RULES.topology, RULES.entities) == ()


def test_the_pattern_of_all_metrics_finds_those_and_no_more():
    import re

    for labels in (*CALLS, {"__name__": "kube_pod_info"}):
        assert re.fullmatch(RULES.topology.metrics, labels["__name__"])
    assert not re.fullmatch(RULES.topology.metrics, "container_cpu_usage_seconds_total")
    assert not re.search(r"\(\?[!<=P]", RULES.topology.metrics), "RE2 knows no such group"


class Counters:
    """A metrics source whose panel holds what the catalog no longer does."""

    def read(self, scope: Scope, timeout: float) -> Panel:
        times = np.arange(20, dtype=np.int64) * 60 * NS
        labels = ({"__name__": "istio_requests_total", "source_workload": "web", "destination_workload": "cart"},)
        return Panel(labels, times, np.arange(20.0).reshape(1, 20), ("",), times >= 600 * NS)

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:
        return ()


def test_an_observation_holds_the_calls_of_its_panel():
    at = from_ns(600 * NS)
    scope = Scope(at, TimeRange(from_ns(0), at), TimeRange(at, from_ns(1200 * NS)))
    graph = GraphDB(":memory:")
    try:
        seen = observe(scope, Counters(), None, None, None, graph, (), RULES.entities, RULES.topology, 20)
    finally:
        graph.close()
    assert seen.calls == (Call("web", "cart", "service-graph", "CALLS", at, at),)


# ---------------------------------------------------------------- spans


def test_spans_state_calls_with_their_times(demo_case: Path):
    files = recording.open_files(demo_case)
    spans = recording.read_spans(files)
    found = calls_of_spans(spans)
    named = {(c.caller, c.callee) for c in found}
    assert named == {(c.caller, c.callee) for c in recording.read_calls(files)}
    assert {c.source for c in found} == {"traces"}
    assert all(c.first_seen and c.last_seen and c.first_seen <= c.last_seen for c in found)


def test_spans_of_other_traces_and_no_nodes_state_nothing():
    rows = [
        ("t", "1", "", "web"),
        ("t", "2", "1", "web"),
        ("u", "3", "1", "cart"),
        ("t", "4", "1", ""),
        ("t", "5", "5", "x"),
    ]
    columns = [np.array(column, np.object_) for column in zip(*rows, strict=True)]
    traces, ids, parents, nodes = columns
    times, flags = np.arange(5, dtype=np.int64) * NS, np.zeros(5, np.bool_)
    spans = Spans(times, times, nodes, nodes, traces, ids, parents, flags, flags)
    assert calls_of_spans(spans) == ()
    nodes[3] = "pay"
    assert calls_of_spans(spans) == (Call("web", "pay", "traces", "CALLS", from_ns(3 * NS), from_ns(3 * NS)),)
    assert calls_of_spans(Spans.empty()) == ()


def test_merging_keeps_the_widest_time():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    one, two = Call("a", "b", "declared", first_seen=noon), Call("a", "b", "declared", last_seen=noon)
    other = Call("a", "b", "traces")
    assert merged([one], [two, other]) == (replace(one, last_seen=noon), other)
    assert merged() == ()


# ---------------------------------------------------------------- the rules


def written(folder: Path, **change: object) -> Path:
    for file in ("entities.yaml", "ranking.yaml"):
        (folder / file).write_bytes((resources.folder("rules") / file).read_bytes())
    data = yaml.safe_load((resources.folder("rules") / "topology.yaml").read_text())
    (folder / "topology.yaml").write_text(yaml.safe_dump({**data, **change}))
    return folder


def test_declared_dependencies(tmp_path: Path):
    known = rules.load(written(tmp_path, declared=[["a", "b"], ["a", "host", "RUNS_ON"]])).topology.declared
    assert known == (Call("a", "b", "declared"), Call("a", "host", "declared", "RUNS_ON"))


@pytest.mark.parametrize(
    "change",
    [
        {"declared": [["a"]]},
        {"declared": [["a", "b", "LIKES"]]},
        {"declared": [["a", ""]]},
        {"calls": ["x"]},
        {"calls": [{"metric": "x", "caller": {"a": "service"}}]},
        {"calls": [{"metric": "x", "callee": {"a": "service"}}]},
        {"calls": [{"metric": "(", "caller": {"a": "service"}, "callee": {"b": "service"}}]},
        {"calls": [{"metric": "x", "caller": {"a": "colour"}, "callee": {"b": "service"}}]},
        {"calls": [{"metric": "x", "caller": {"a": "service"}, "callee": {"b": "service"}, "where": 3}]},
        {"runs_on": [{"metric": "x", "host": ["node"]}]},
        {"runs_on": [{"metric": "x", "host": {"node": "instance"}, "extra": 1}]},
        {"shorten": ["no group"]},
    ],
    ids=str,
)
def test_a_wrong_rule_is_refused(tmp_path: Path, change: dict[str, object]):
    with pytest.raises(ConfigError, match=r"topology\.yaml"):
        rules.load(written(tmp_path, **change))
