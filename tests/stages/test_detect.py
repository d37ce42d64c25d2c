"""What each channel sees, and what it must not see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system

from aiops.domain import NS, Alert, Change, Direction, Findings, Logs, ObjectArray, Observation, Spans, from_ns, to_ns
from aiops.kernels.kinds import Kind, kind_of
from aiops.stages.detect import detect
from aiops.stages.detect.presence import g_statistic
from aiops.stages.detect.spans import Gaps, call_gaps, edge_gaps, network_evidence, span_table
from aiops.stages.detect.window import incident_window

CALLS = 200  # traces on either side
SPAN_COLUMNS = (
    "times",
    "durations",
    "nodes",
    "operations",
    "trace_ids",
    "span_ids",
    "parent_ids",
    "errors",
    "incident",
)
LOG_COLUMNS = ("times", "nodes", "messages", "trace_ids", "span_ids", "incident")


def found(observation: Observation, metric: str = "latency_avg") -> Findings:
    return detect(observation, system.scope(metric=metric), system.ranking())


def strongest(findings: Findings, channel: str) -> str:
    values = findings.channels[channel]
    return max(values, key=lambda n: values[n]) if values else ""


def spans(delay: float = 0.0, stop_after: str | None = None, lines: bool = False) -> tuple[Spans, Logs]:
    """entry -> mid -> leaf by client and server spans; in the incident calls to `leaf` take `delay` seconds longer on the way,
    or `stop_after` ("" = at once) breaks the entry's operation off."""
    rows: list[tuple[int, int, str, str, str, str, str]] = []
    texts: list[tuple[int, str, str, str, str]] = []
    for k in range(2 * CALLS):
        late = k >= CALLS
        start = to_ns(system.AT) + (k - CALLS) * (2 * NS if late else 8 * NS) // 10 + (0 if late else -3600 * NS)
        wait = int(delay * NS) if late else 0
        trace, ms = f"t{k}", NS // 1000
        rows.append((start, 50 * ms + wait, "entry", "GET /", trace, f"{k}e", ""))
        if late and stop_after == "":
            continue
        rows.append((start + ms, 40 * ms + wait, "entry", "call mid", trace, f"{k}c", f"{k}e"))
        rows.append((start + 2 * ms, 38 * ms + wait, "mid", "serve", trace, f"{k}m", f"{k}c"))
        rows.append((start + 3 * ms, 20 * ms + wait, "mid", "call leaf", trace, f"{k}d", f"{k}m"))
        rows.append((start + 4 * ms, 15 * ms, "leaf", "serve", trace, f"{k}l", f"{k}d"))
        if not (late and stop_after == "mid"):
            rows.append((start + 45 * ms, 2 * ms, "entry", "call side", trace, f"{k}s", f"{k}e"))
        texts.append((start, "mid", f"INFO request {k} from 10.0.0.{k % 250}", trace, f"{k}m"))
        if not (late and lines):
            texts.append((start, "leaf", f"INFO row {k} read", trace, f"{k}l"))
        else:
            texts.append((start, "leaf", f"ERROR row {k} refused: table is locked", trace, f"{k}l"))

    def text(values: list[str]) -> ObjectArray:
        return np.array(values, dtype=object)

    starts, durations, nodes, operations, traces, ids, parents = (list(column) for column in zip(*rows, strict=True))
    times = np.array(starts, dtype=np.int64)
    span = Spans(
        times,
        np.array(durations, dtype=np.int64),
        text(nodes),
        text(operations),
        text(traces),
        text(ids),
        text(parents),
        np.zeros(len(rows), dtype=bool),
        times >= to_ns(system.AT),
    )
    starts, nodes, messages, traces, ids = (list(column) for column in zip(*texts, strict=True))
    times = np.array(starts, dtype=np.int64)
    log = Logs(times, text(nodes), text(messages), text(traces), text(ids), times >= to_ns(system.AT))
    return span, log


def test_anomalies_in_both_directions_with_band_and_onset() -> None:
    series = system.quiet()
    series["mid", "cpu_usage"][-4:] += 0.5
    series["side", "requests_total"][-4:] *= 0.1
    told = {(a.node, a.metric): a for a in found(system.observe(series)).anomalies}
    up, down = told["mid", "cpu_usage"], told["side", "requests_total"]
    assert (up.direction, down.direction) == (Direction.UP, Direction.DOWN)
    assert min(up.score, down.score) >= 1
    assert up.band[0] < 0.3 < up.band[1] < up.value
    assert up.onset == from_ns(int(system.times()[-4]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_band_holds_quiet_series(seed: int) -> None:
    assert len(found(system.observe(system.quiet(seed))).anomalies) <= 1  # of 16


def test_one_spike_is_not_an_incident() -> None:
    series = system.quiet()
    series["mid", "cpu_usage"][-3] += 5.0
    assert not [a for a in found(system.observe(series)).anomalies if a.metric == "cpu_usage"]


def test_what_happens_to_all_is_caused_by_none() -> None:
    series = system.quiet()
    for node in system.NODES:
        series[node, "cpu_usage"][-4:] += 0.5
    assert not [a for a in found(system.observe(series)).anomalies if a.metric == "cpu_usage"]


def test_a_column_repeated_under_several_nodes_belongs_to_none() -> None:
    series = system.quiet()
    hot = series["mid", "cpu_usage"] + np.r_[np.zeros(60), np.ones(5)]
    for node in ("mid", "leaf"):
        series[node, "cpu_host"] = hot
    assert not [a for a in found(system.observe(series)).anomalies if a.metric == "cpu_host"]


def test_own_time_is_not_blamed_on_the_caller() -> None:
    assert strongest(found(system.observe(system.faulty("mid"))), "budget") == "mid"


def test_failures_stay_with_who_makes_them() -> None:
    series = system.quiet()
    for node, drop in (("leaf", 20.0), ("mid", 20.0), ("entry", 20.0)):
        series[node, "availability"][:] = 100.0
        series[node, "availability"][-4:] -= drop
    assert strongest(found(system.observe(series), "availability"), "budget") == "leaf"


def test_a_callee_never_seen_before_is_its_callers_doing() -> None:
    series = system.quiet()
    fresh = np.full(65, np.nan)
    for node in ("mid", "entry"):
        series[node, "availability"][:] = 100.0
        series[node, "availability"][-4:] -= 20.0
    series["wrong", "requests_total"], series["wrong", "availability"] = fresh.copy(), fresh.copy()
    series["wrong", "requests_total"][-4:], series["wrong", "availability"][-4:] = 200.0, 0.0
    calls = (*system.EDGES, ("mid", "wrong"))
    assert strongest(found(system.observe(series, calls), "availability"), "budget") == "mid"


def test_network_delay_accuses_the_callee() -> None:
    span, log = spans(delay=0.2)
    findings = found(system.observe(system.quiet(), spans=span, logs=log))
    assert strongest(findings, "network") == "leaf"
    assert [e for e in findings.events if e.what == "edge_gap" and e.node == "leaf" and e.peer == "mid"]


@pytest.mark.parametrize(("stop_after", "culprit"), [("", "entry"), ("mid", "mid")])
def test_requests_that_break_off_accuse_the_last_call(stop_after: str, culprit: str) -> None:
    span, log = spans(stop_after=stop_after)
    assert strongest(found(system.observe(system.quiet(), spans=span, logs=log)), "aborted") == culprit


def test_lost_lines_and_new_errors_accuse_their_writer() -> None:
    span, log = spans(lines=True)
    findings = found(system.observe(system.quiet(), spans=span, logs=log))
    assert strongest(findings, "logs") == "leaf"
    assert {e.what for e in findings.events if e.kind == "log"} == {"new", "lost"}
    assert all(e.example for e in findings.events if e.kind == "log")


def test_less_traffic_loses_no_line() -> None:
    span, log = spans()
    kept = {f"t{k}" for k in range(2 * CALLS) if k < CALLS or k % 3 == 0}
    lines = np.array([t in kept for t in log.trace_ids])
    stay = np.array([t in kept for t in span.trace_ids])
    log = dataclasses.replace(log, **{f: getattr(log, f)[lines] for f in LOG_COLUMNS})
    span = dataclasses.replace(span, **{f: getattr(span, f)[stay] for f in SPAN_COLUMNS})
    findings = found(system.observe(system.quiet(), spans=span, logs=log))
    assert not [e for e in findings.events if e.kind == "log"]


def test_row_order_of_logs_and_spans_does_not_matter() -> None:
    span, log = spans(delay=0.1, lines=True)
    random = np.random.default_rng(1)
    a, b = random.permutation(len(span)), random.permutation(len(log))
    mixed = dataclasses.replace(span, **{f: getattr(span, f)[a] for f in SPAN_COLUMNS})
    lines = dataclasses.replace(log, **{f: getattr(log, f)[b] for f in LOG_COLUMNS})
    one = found(system.observe(system.quiet(), spans=span, logs=log))
    two = found(system.observe(system.quiet(), spans=mixed, logs=lines))
    assert one.channels == two.channels
    assert one.reasons == two.reasons


def test_changes_and_alerts_support_but_alone_name_nobody() -> None:
    observation = dataclasses.replace(
        system.observe(system.quiet()),
        changes=(Change("mid", from_ns(to_ns(system.AT) - 60 * NS), "deploy", "mid 1.2 -> 1.3"),),
        alerts=(Alert("f", "firing", {"alertname": "Slow"}, {}, system.AT),),
        alert_nodes=("side",),
    )
    findings = found(observation)
    assert findings.channels["change"]["mid"] > 0.5
    assert findings.channels["alert"] == {"side": 1.0}
    assert {e.kind for e in findings.events} == {"alert", "change"}


def test_a_baseline_of_another_time_keeps_its_flags() -> None:
    observation = system.observe(system.quiet())
    panel = observation.panel
    other = panel.times.copy()
    other[~panel.incident] += 90 * 86_400 * NS
    moved = incident_window(
        dataclasses.replace(observation, panel=dataclasses.replace(panel, times=other)), system.scope()
    )
    assert (moved.panel.incident == panel.incident).all()
    assert incident_window(observation, system.scope()).panel.incident.sum() == panel.incident.sum() + 2


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("container_cpu_usage_seconds_total", Kind.CPU),
        ("node_cpu_seconds_total", Kind.HOST),
        ("http_request_duration_seconds_p99", Kind.LATENCY),
        ("http_client_request_duration_seconds", Kind.CLIENT_LATENCY),
        ("http_requests_total", Kind.TRAFFIC),
        ("http_errors_total", Kind.ERRORS),
        ("availability_Average", Kind.AVAILABILITY),
        ("kube_deployment_status_replicas_unavailable", Kind.ERRORS),
        ("MemoryUsage_Mi", Kind.MEMORY),
        ("go_goroutines", Kind.OTHER),
    ],
)
def test_metric_names_tell_their_kind(metric: str, kind: Kind) -> None:
    assert kind_of(metric) is kind


def test_g_statistic_of_equal_shares_is_zero() -> None:
    assert g_statistic(5, 10, 50, 100) == pytest.approx(0.0, abs=1e-12)
    assert g_statistic(10, 10, 0, 10) == pytest.approx(27.73, abs=0.01)


# ---------------------------------------------------------------- failures


def with_failures(node: str, **others: float) -> dict[tuple[str, str], np.ndarray]:
    """A system that counts errors and no requests: `node` and its callers fail, each by its own number."""
    series = {key: v for key, v in system.quiet().items() if key[1] not in ("availability", "requests_total")}
    rng = np.random.default_rng(5)
    for name in system.NODES:
        series[name, "error_rate"] = 0.01 + 0.001 * rng.standard_normal(system.BASELINE + system.INCIDENT)
        series[name, "error_rate"][-4:] += {node: 0.2, **others}.get(name, 0.0)
    return series


def channel(observation: Observation, name: str, **scope: str | None) -> dict[str, float]:
    return dict(detect(observation, system.scope(**scope), system.ranking()).channels[name])


def test_failures_count_where_they_start_not_where_they_arrive() -> None:
    errors = channel(system.observe(with_failures("leaf", mid=0.2, entry=0.1)), "errors")
    assert max(errors, key=lambda n: errors[n]) == "leaf"
    assert errors["leaf"] > 3 * errors["mid"]


def test_the_failing_symptom_itself_is_no_answer() -> None:
    observation = system.observe(with_failures("leaf", entry=0.4), calls=())
    errors = channel(observation, "errors", node="entry", metric="error_rate")
    assert errors["leaf"] > errors.get("entry", 0.0)


def failed(rows: list[tuple[str, str, bool]], repeat: int = 40) -> Spans:
    """Traces entry -> mid -> leaf, half before and half in the incident; `rows`: (node, parent's node, fails in the incident)."""
    at, out = to_ns(system.AT), []
    for k in range(2 * repeat):
        late = k >= repeat
        start = at + (k - repeat) * system.STEP // 20 + (1 if late else -10 * system.STEP)
        for node, parent, fails in rows:
            out.append((start, node, f"{k}-{node}", f"{k}-{parent}" if parent else "", fails and late, late))
    text = [np.array(column, dtype=object) for column in zip(*[(n, s, p) for _, n, s, p, _, _ in out], strict=True)]
    operations = np.array(["op"] * len(out), dtype=object)
    traces = np.array([s.split("-")[0] for s in text[1]], dtype=object)
    return Spans(
        np.array([t for t, *_ in out]),
        np.full(len(out), 1_000_000),
        text[0],
        operations,
        traces,
        text[1],
        text[2],
        np.array([e for *_, e, _ in out]),
        np.array([i for *_, i in out]),
    )


def test_a_failure_starts_in_the_span_whose_children_did_not_fail() -> None:
    spans = failed([("entry", "", True), ("mid", "entry", True), ("leaf", "mid", True), ("side", "entry", False)])
    errors = channel(system.observe(system.quiet(), spans=spans), "errors")
    assert errors["leaf"] > 0.5
    assert not errors.keys() & {"mid", "entry"}


def test_a_node_that_falls_silent_is_accused_and_late_scrapes_are_not() -> None:
    series = system.quiet()
    for (node, _), values in series.items():
        if node == "leaf":
            values[-4:] = np.nan
        values[-1] = np.nan  # not scraped yet
    silence = channel(system.observe(series), "silence")
    assert list(silence) == ["leaf"]
    assert channel(system.observe(system.quiet()), "silence") == {}


def test_a_node_that_does_not_count_its_requests_gets_its_callers() -> None:
    """Without that its failures would be its caller's own."""
    series = {key: v for key, v in system.quiet().items() if key != ("leaf", "requests_total")}
    for node in ("leaf", "mid", "entry"):
        series[node, "availability"] = np.full_like(series[node, "availability"], 99.9)
        series[node, "availability"][-4:] -= 20.0
    budget = channel(system.observe(series), "budget", metric="availability")
    assert max(budget, key=lambda n: budget[n]) == "leaf"
    assert budget["leaf"] > 5 * budget.get("mid", 0.0)


def test_two_samples_are_trusted_less_than_five() -> None:
    series = system.faulty("leaf")
    whole = system.observe(series)
    panel = whole.panel
    keep = np.arange(len(panel.times)) < len(panel.times) - 2
    cut = dataclasses.replace(
        whole,
        panel=dataclasses.replace(
            panel, times=panel.times[keep], values=panel.values[:, keep], incident=panel.incident[keep]
        ),
    )
    assert 0 < channel(cut, "budget")["leaf"] < channel(whole, "budget")["leaf"]


def test_what_has_been_so_since_an_earlier_trouble_is_not_what_began_now() -> None:
    fresh, old = system.quiet(), system.quiet()
    fresh["leaf", "cpu_usage"][-system.INCIDENT :] += 0.5
    old["leaf", "cpu_usage"][-4 * system.INCIDENT :] += 0.5
    assert channel(system.observe(fresh), "resource")["leaf"] > 0.9
    assert channel(system.observe(old), "resource").get("leaf", 0.0) < 0.1


def test_one_waiting_caller_says_less_than_two() -> None:
    series = system.quiet()
    for seed, node in enumerate(("entry", "mid")):
        waits = 0.1 * (1.0 + 0.02 * np.random.default_rng(seed).standard_normal(system.BASELINE + system.INCIDENT))
        waits[-system.INCIDENT :] += 1.0
        series[node, "PodClientLatencyP90_s"] = waits
    calls = (("entry", "side"), ("entry", "leaf"), ("mid", "leaf"))
    accused = channel(system.observe(series, calls=calls), "waiting")
    assert accused["side"] < 0.51, "its one caller may as well wait for the leaf"
    assert accused["side"] < accused["leaf"]


def gaps(before: dict[str, list[float]], after: dict[str, list[float]], unit: float = 1.0) -> Gaps:
    """Calls as "caller callee" -> what each caller waits beyond the callee's own 5 ms, in ms."""
    rows = [
        (edge.split(), ms, late)
        for late in (False, True)
        for edge, all_ms in (before, after)[late].items()
        for ms in all_ms
    ]
    ids = [f"{k}{side}" for k in range(len(rows)) for side in "cs"]
    table = Spans(
        times=np.array([k for k in range(len(rows)) for _ in "cs"], dtype=np.int64) * NS,
        durations=np.array([d * unit for _, ms, _ in rows for d in (5.0 + ms, 5.0)]).astype(np.int64) * (NS // 1000),
        nodes=_objects([n for nodes, _, _ in rows for n in nodes]),
        operations=_objects(["op"] * len(ids)),
        trace_ids=_objects([f"t{k}" for k in range(len(rows)) for _ in "cs"]),
        span_ids=_objects(ids),
        parent_ids=_objects([p for k in range(len(rows)) for p in ("", f"{k}c")]),
        incident=np.array([late for _, _, late in rows for _ in "cs"], dtype=bool),
        errors=np.zeros(len(ids), dtype=bool),
    )
    return call_gaps(table, span_table(table))


QUIET_MS = [2.0, 3.0, 3.0, 4.0] * 25


def test_a_few_calls_of_several_callers_are_judged_together() -> None:
    seen = gaps(
        {"a callee": [3.0, 4.0], "b callee": [30.0, 40.0], "a other": QUIET_MS},
        {"a callee": [3.0, 400.0], "b callee": [40.0, 4000.0]},
    )
    assert {gap.caller for gap in edge_gaps(seen)} == {"a", "b"}
    assert network_evidence(seen)["callee"] > 0.6


def test_a_caller_that_does_not_wait_speaks_for_the_callee() -> None:
    seen = gaps({"a callee": QUIET_MS, "b callee": QUIET_MS}, {"a callee": [500.0] * 5, "b callee": [3.0] * 50})
    assert network_evidence(seen).get("callee", 0.0) < 0.05, "it is a that waits, whomever it calls"


def test_a_wait_that_is_nothing_new_says_little() -> None:
    held_up = {"a callee": [2.0, 900.0, 900.0, 3.0]}
    fresh = network_evidence(gaps({"a callee": QUIET_MS[:12], "a other": QUIET_MS}, held_up))["callee"]
    own = network_evidence(gaps({"a callee": [*QUIET_MS[:12], 900.0], "a other": QUIET_MS}, held_up))["callee"]
    all_over = {"a callee": QUIET_MS[:12], "a other": QUIET_MS + [2000.0] * 10}
    elsewhere = network_evidence(gaps(all_over, held_up))["callee"]
    assert fresh > 0.6
    assert own < 0.9 * fresh
    assert elsewhere < 0.9 * fresh


def test_one_slow_call_says_nothing() -> None:
    before = {"a callee": QUIET_MS[:12], "a other": QUIET_MS}
    assert network_evidence(gaps(before, {"a callee": [900.0]})) == {}
    assert network_evidence(gaps(before, {"a callee": [1.0, 2.0, 3.0, 900.0]})) == {}, "nor one of four"


def test_a_small_part_of_the_wait_is_a_small_suspicion() -> None:
    found = network_evidence(gaps({"a callee": [30.0] * 100}, {"a callee": [33.0] * 100}))
    assert 0.0 < found["callee"] < 0.1, "however sure it is that the way takes a tenth longer"


@given(st.sampled_from([1.0, 2.0, 10.0, 1000.0]))
def test_a_slower_system_is_judged_by_its_own_measure(unit: float) -> None:
    before, after = {"a callee": QUIET_MS, "b other": QUIET_MS}, {"a callee": [3.0, 60.0, 70.0], "b other": [3.0, 4.0]}
    assert network_evidence(gaps(before, after, unit)) == pytest.approx(network_evidence(gaps(before, after)))


def test_calls_without_a_past_accuse_nobody() -> None:
    seen = gaps({"a a": QUIET_MS}, {"a callee": [900.0] * 20})
    assert edge_gaps(seen) == []
    assert network_evidence(seen) == {}


def _objects(values: list[str]) -> ObjectArray:
    return np.array(values, dtype=object)
