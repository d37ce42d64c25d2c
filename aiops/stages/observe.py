"""Stage 3: Scope -> Observation. Reads all sources at once under one deadline; each failure becomes a Gap.

Raises SourceError only when no source at all could be read: then there is nothing to report about.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Set
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from aiops.domain import (
    Alert,
    Call,
    Calls,
    Change,
    Gap,
    Labels,
    Logs,
    ObjectArray,
    Observation,
    Panel,
    Scope,
    Spans,
    Task,
    series_key,
)
from aiops.errors import AiopsError, SourceError, SourceLate
from aiops.ports import ChangeSource, GraphStore, LogSource, MetricsSource, TraceSource
from aiops.rules import Entities, Topology
from aiops.stages.courses import bare
from aiops.stages.figures import asked_metrics
from aiops.stages.rates import with_rates
from aiops.stages.topology import calls_of_labels, calls_of_panel, calls_of_spans, dated, merged
from aiops.telemetry import carried, stage

T = TypeVar("T")


@stage("observe")
def observe(
    scope: Scope,
    metrics: MetricsSource,
    logs: LogSource | None,
    traces: TraceSource | None,
    changes: ChangeSource | None,
    graph: GraphStore,
    alerts: tuple[Alert, ...],
    entities: Entities,
    topology: Topology,
    deadline_s: float,
    filters: tuple[str, ...] = (),
) -> Observation:
    """All that the sources say about `scope` within `deadline_s` seconds; of series, what the label `filters` leave."""
    read = _read(scope, metrics, logs, traces, changes, graph, topology, deadline_s)
    panel, unfiltered = filtered(with_rates(read.scraped), filters)
    nodes = tuple(entities.node("series", labels) for labels in panel.labels)
    lines = dataclasses.replace(read.lines, nodes=_nodes(read.lines.nodes, "log", entities))
    spans = dataclasses.replace(read.spans, nodes=_nodes(read.spans.nodes, "span", entities))
    observed = _observed(read, spans, entities, topology, scope.at)
    calls = merged(observed, read.known, topology.declared)
    seen = {*nodes, *lines.nodes, *spans.nodes}
    gaps = (
        *scope.gaps,
        *read.gaps,
        *(gap for answer in (lines, spans, read.known) for gap in answer.gaps),
        *unfiltered,
        *_unfiltered(filters, lines, spans),
        *_unmapped(panel, nodes),
        *_unseen(scope, {*seen, *(n for c in calls for n in (c.caller, c.callee))}),
        *_unread(scope, observed, {*seen, *read.known.nodes}),
    )
    return Observation(
        dataclasses.replace(panel, nodes=nodes),
        lines,
        spans,
        read.changes,
        calls,
        alerts,
        tuple(entities.node("alert", a.labels) for a in alerts),
        gaps,
    )


def look_up(scope: Scope, task: Task, metrics: MetricsSource, entities: Entities, deadline_s: float) -> Observation:
    """The series that a query asks for, and nothing else. Raises SourceError when they can't be read."""
    panel, gaps = filtered(with_rates(metrics.read(scope, deadline_s)), task.inputs.filters)
    nodes = tuple(entities.node("series", labels) for labels in panel.labels)
    wanted = set(asked_metrics(task))
    # A source may give more than it was asked for: a recording gives all it has.
    kept = [
        row
        for row, (node, metric) in enumerate(zip(nodes, panel.metrics, strict=True))
        if node and (not scope.nodes or node in scope.nodes) and (not wanted or bare(metric) in wanted)
    ]
    return Observation(
        dataclasses.replace(_rows(panel, kept), nodes=tuple(nodes[row] for row in kept)),
        Logs.empty(),
        Spans.empty(),
        gaps=(*scope.gaps, *gaps),
    )


# ---------------------------------------------------------------- label filters

SAME_LABEL = (
    ("env", "environment", "stage", "deployment_environment", "deployment_environment_name"),
    ("namespace", "kubernetes_namespace", "k8s_namespace_name"),
    ("host", "hostname", "node", "nodename", "instance"),
    ("status", "status_code", "code", "http_status_code", "response_code"),
    ("region", "cloud_region", "aws_region"),
    ("zone", "availability_zone", "az"),
    ("version", "app_version", "service_version"),
    ("cluster", "cluster_name", "k8s_cluster_name"),
    ("dc", "datacenter"),
)
SAME_VALUE = (
    ("prod", "production", "prd", "live"),
    ("staging", "stage", "stg"),
    ("dev", "development"),
    ("test", "testing", "qa"),
)


def filtered(panel: Panel, filters: Iterable[str]) -> tuple[Panel, tuple[Gap, ...]]:
    """The panel without the series that contradict a `label=value`, and what no series could be told apart by.

    A series without the label contradicts where others of its metric have it. Values are compared as people write them: without
    regard to case, `prod` as `production`. O(filters S)."""
    gaps: list[Gap] = []
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or not panel.labels:
            continue
        told = [_value_of(labels, key) for labels in panel.labels]
        having = {name for name, one in zip(panel.metrics, told, strict=True) if one is not None}
        if not having:
            gaps.append(
                Gap(
                    f"filter {text}",
                    f"no series that was read has a label {key}, so that none was left out by it",
                    f"name one of {_label_names(panel)}",
                )
            )
            continue
        kept = [
            row
            for row, (name, one) in enumerate(zip(panel.metrics, told, strict=True))
            if (_same(one, value) if one is not None else name not in having)
        ]
        if not any(told[row] is not None for row in kept):
            there = sorted({one for one in told if one is not None})
            gaps.append(
                Gap(
                    f"filter {text}",
                    f"no series has that value; there is {', '.join(there[:8])}",
                    f"ask with {key}={there[0]}",
                )
            )
        panel = _rows(panel, kept)
    return panel, tuple(gaps)


def _unfiltered(filters: Iterable[str], lines: Logs, spans: Spans) -> list[Gap]:
    """Logs and spans are told apart by their service alone."""
    label = [text for text in filters if "=" in text]
    what = [name for name, rows in (("logs", lines), ("traces", spans)) if len(rows)]
    if not label or not what:
        return []
    return [
        Gap(
            f"filter {', '.join(label)} on {' and '.join(what)}",
            "they are told apart by service only, so all of them count",
            "",
        )
    ]


def _value_of(labels: Labels, key: str) -> str | None:
    names = next((same for same in SAME_LABEL if key in same), (key,))
    return next((labels[name] for name in (key, *names) if name in labels), None)


def _same(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    return (
        one == other
        or one.removeprefix("v") == other.removeprefix("v")
        or any(one in same and other in same for same in SAME_VALUE)
    )


def _label_names(panel: Panel) -> str:
    names = sorted({name for labels in panel.labels for name in labels} - {"__name__"})
    return ", ".join(names[:8])


def _rows(panel: Panel, rows: list[int]) -> Panel:
    if len(rows) == len(panel.labels):
        return panel
    return dataclasses.replace(
        panel,
        labels=tuple(panel.labels[row] for row in rows),
        values=panel.values[rows],
        nodes=tuple(panel.nodes[row] for row in rows),
    )


# ---------------------------------------------------------------- asking all at once


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the sources said, each in its own words; nothing where one failed, for which there is a gap."""

    scraped: Panel
    lines: Logs
    spans: Spans
    stated: tuple[Call, ...]
    changes: tuple[Change, ...]
    related: tuple[Labels, ...]
    known: Calls
    gaps: tuple[Gap, ...]


def _read(
    scope: Scope,
    metrics: MetricsSource,
    logs: LogSource | None,
    traces: TraceSource | None,
    changes: ChangeSource | None,
    graph: GraphStore,
    topology: Topology,
    deadline_s: float,
) -> _Answers:
    """Asks everybody at once. Raises the first failure when nothing at all could be read."""
    pool = ThreadPoolExecutor(7, thread_name_prefix="observe")
    asked = _Asked(deadline_s)
    try:
        reads: dict[str, Future[Any] | None] = {
            "metrics": pool.submit(carried(metrics.read), scope, deadline_s),
            "logs": pool.submit(carried(logs.read), scope, deadline_s) if logs else None,
            "traces": pool.submit(carried(traces.read), scope, deadline_s) if traces else None,
            "stated dependencies": pool.submit(carried(traces.calls), deadline_s) if traces else None,
            "changes": pool.submit(carried(changes.read), scope, deadline_s) if changes else None,
            "dependencies in metrics": pool.submit(carried(metrics.catalog), deadline_s, topology.metrics),
            "known dependencies": pool.submit(carried(graph.calls), scope.nodes, 1),
        }

        def take(what: str, otherwise: Callable[[], T]) -> T:
            return asked.answer(what, reads[what], otherwise)

        answers = _Answers(
            scraped=take("metrics", Panel.empty),
            lines=take("logs", Logs.empty),
            spans=take("traces", Spans.empty),
            stated=take("stated dependencies", tuple) if traces else (),
            changes=take("changes", tuple),
            related=take("dependencies in metrics", tuple),
            known=take("known dependencies", lambda: Calls.of(())),
            gaps=tuple(asked.gaps),
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if asked.failures and not (len(answers.scraped.labels) or len(answers.lines) or len(answers.spans)):
        raise asked.failures[0]
    return answers


class _Asked:
    """Answers that are under way until a deadline, and what went wrong with them."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._ends = time.monotonic() + deadline_s
        self.gaps: list[Gap] = []
        self.failures: list[SourceError] = []

    def answer(self, what: str, future: Future[Any] | None, otherwise: Callable[[], T]) -> T:
        """The answer about `what`, or `otherwise` and a gap."""
        if future is None:
            self.gaps.append(Gap(what, "no source is configured", f"aiops config show sources.{what}"))
            return otherwise()
        try:
            return future.result(max(0.0, self._ends - time.monotonic()))  # type: ignore[no-any-return]  # the port's type
        except FutureTimeoutError:
            self._failed(what, SourceLate(what, "its source", f"no answer within {self._deadline_s:g} s"))
        except SourceError as error:
            self._failed(what, error)
        except AiopsError as error:
            self.gaps.append(Gap(what, str(error), "aiops doctor"))
        return otherwise()

    def _failed(self, what: str, error: SourceError) -> None:
        self.failures.append(error)
        self.gaps.append(Gap(what, str(error), "aiops doctor --live"))


# ---------------------------------------------------------------- what the answers say together


def _observed(read: _Answers, spans: Spans, entities: Entities, topology: Topology, at: datetime) -> tuple[Call, ...]:
    """The dependencies that these answers show. What a trace source states rests on more traces than were read here."""
    return merged(
        dated(read.stated, at) if read.stated else calls_of_spans(spans),
        calls_of_labels(read.related, topology, entities, at),
        calls_of_panel(read.scraped, topology, entities, at),
    )


def _nodes(names: ObjectArray, kind: str, entities: Entities) -> ObjectArray:
    """Node id of each stream name; the mapping is made once per distinct name."""
    known = {name: entities.node(kind, {"service": name}) for name in set(names)}
    out = np.empty(len(names), np.object_)
    out[:] = [known[name] for name in names]
    return out


# ---------------------------------------------------------------- what they leave out


def _unseen(scope: Scope, seen: Set[str]) -> list[Gap]:
    if scope.symptom_node is None or scope.symptom_node in seen:
        return []
    return [
        Gap(
            f"symptom {scope.symptom_node}",
            "no series, log, span or dependency mentions it, so every entry of the system is taken to lead to it",
            "aiops graph show lists the known names; name others under aliases in rules/entities.yaml",
        )
    ]


def _unread(scope: Scope, observed: Iterable[Call], known: Set[str]) -> list[Gap]:
    """What the graph did not know when the scope was drawn, and so was not read about."""
    near = set(scope.nodes)
    ends = ((a, b) for call in observed for a, b in ((call.caller, call.callee), (call.callee, call.caller)))
    fresh = sorted({other for one, other in ends if one in near} - near - known)
    if not fresh:
        return []
    named = f"{', '.join(fresh[:3])}{' and more' if len(fresh) > 3 else ''}"
    return [
        Gap(
            f"what {named} measured",
            "the graph learned of it just now, after it was settled what to read",
            "ask again: the next diagnosis reads it",
        )
    ]


def _unmapped(panel: Panel, nodes: tuple[str, ...]) -> list[Gap]:
    lost = [series_key(labels) for labels, node in zip(panel.labels, nodes, strict=True) if not node]
    if not lost:
        return []
    return [
        Gap(
            f"{len(lost)} series",
            f"they map to no node, for example {lost[0]}",
            "name their label under labels.series in rules/entities.yaml",
        )
    ]
