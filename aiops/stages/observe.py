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
    series_key,
)
from aiops.errors import AiopsError, SourceError, SourceLate
from aiops.ports import ChangeSource, GraphStore, LogSource, MetricsSource, TraceSource
from aiops.rules import Entities, Topology
from aiops.stages.rates import with_rates
from aiops.stages.topology import calls_of_labels, calls_of_panel, calls_of_spans, dated, merged

T = TypeVar("T")


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
) -> Observation:
    """All that the sources say about `scope` within `deadline_s` seconds."""
    read = _read(scope, metrics, logs, traces, changes, graph, topology, deadline_s)
    panel = with_rates(read.scraped)
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
            "metrics": pool.submit(metrics.read, scope, deadline_s),
            "logs": pool.submit(logs.read, scope, deadline_s) if logs else None,
            "traces": pool.submit(traces.read, scope, deadline_s) if traces else None,
            "stated dependencies": pool.submit(traces.calls, deadline_s) if traces else None,
            "changes": pool.submit(changes.read, scope, deadline_s) if changes else None,
            "dependencies in metrics": pool.submit(metrics.catalog, deadline_s, topology.metrics),
            "known dependencies": pool.submit(graph.calls, scope.nodes, 1),
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
