"""Whether a diagnosis would get what it needs: each part is asked as a diagnosis would ask it, about the last minutes.

Every question answers a Finding, or raises what the port raises.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np

from aiops.domain import NS, Catalog, IntArray, Labels, ObjectArray, Presence, Scope, TimeRange, to_ns
from aiops.errors import ModelError, StoreError
from aiops.flows import work
from aiops.pipeline import Sources
from aiops.ports import GraphStore, JobQueue, LanguageModel
from aiops.rules import Entities
from aiops.stages.interpret import ask_model
from aiops.stages.scope import queries

SPAN = timedelta(minutes=5)  # what is asked about, and as much before it
OLD_S = 120.0  # a newest sample that is older says that nobody writes any more
AHEAD_S = 5.0  # of a sample that was taken in the future
FEW = 20  # services whose logs and traces are asked for
WEBHOOK = "/v1/webhooks/alertmanager"
SHARE = 0.5  # of series that name no service, above which most of a system can't be told apart


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen; `mend` says what to do where it works, and a diagnosis gets less of it than it could."""

    says: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """The series there are, by the service that they belong to: `services` with the most series first."""

    series: int
    services: Mapping[str, Labels]  # -> one of its series
    unmapped: Counter[str]  # metrics of series that name no service

    @property
    def share(self) -> float:
        return sum(self.unmapped.values()) / self.series if self.series else 0.0

    @property
    def few(self) -> tuple[str, ...]:
        return tuple(self.services)[:FEW]

    @staticmethod
    def none() -> Survey:
        return Survey(0, {}, Counter())


def survey(sources: Sources, entities: Entities, timeout: float) -> Survey:
    """What the metrics source has. Raises SourceError."""
    counts: Counter[str] = Counter()
    one: dict[str, Labels] = {}
    unmapped: Counter[str] = Counter()
    found = sources.metrics.catalog(timeout)
    for labels in found:
        node = entities.node("series", labels)
        if node:
            counts[node] += 1
            one.setdefault(node, labels)
        else:
            unmapped[labels.get("__name__", "")] += 1
    ordered = sorted(counts, key=lambda node: (-counts[node], node))
    return Survey(len(found), {node: one[node] for node in ordered}, unmapped)


def names(seen: Survey, entities: Entities) -> Finding:
    """Whether series say which service they belong to."""
    if not seen.series:
        return Finding("it has no series", "let it scrape what is to be diagnosed")
    says = f"{seen.series} series of {len(seen.services)} services; {seen.share:.1%} of the series name none"
    if not seen.unmapped:
        return Finding(says)
    common = ", ".join(name for name, _ in sorted(seen.unmapped.items(), key=lambda row: (-row[1], row[0]))[:3])
    says += f", for example {common}"
    known = ", ".join(entities.labels["series"])
    return Finding(says, f"name their labels in rules/entities.yaml (series: {known})" if seen.share > SHARE else "")


def course(sources: Sources, entities: Entities, seen: Survey, timeout: float) -> Finding:
    """Whether the course of a service's series is there, up to now. Raises SourceError."""
    if not seen.services:
        return Finding("no service to ask about", "see above")
    node, labels = next(iter(seen.services.items()))
    scope = _scope((node,), sources, entities)
    panel = sources.metrics.read(scope, timeout)
    window = TimeRange(scope.baseline.start, scope.incident.end)
    at = next(k for k, name in enumerate(entities.labels["series"]) if entities.node("series", _only(labels, name)))
    samples = sources.metrics.samples(scope.queries[at].text, window, timeout)
    if not len(panel.labels) or not len(samples.times):
        return Finding(f"no samples of {node} in {_span(window)}", "see whether its targets are up")
    says = f"{node}: {len(panel.labels)} series at {len(panel.times)} times; {len(samples.times)} samples"
    return _aged(says, samples.times, sources)


def lines(sources: Sources, entities: Entities, seen: Survey, timeout: float) -> Finding:
    """Whether the services that metrics know have logs. Raises SourceError."""
    assert sources.logs
    scope = _scope(seen.few, sources, entities)
    found = sources.logs.read(scope, timeout)
    return _of_services("lines", "log", found.nodes, found.times, scope, sources, entities)


def spans(sources: Sources, entities: Entities, seen: Survey, timeout: float) -> Finding:
    """Whether the services that metrics know have traces. Raises SourceError."""
    assert sources.traces
    scope = _scope(seen.few, sources, entities)
    found = sources.traces.read(scope, timeout)
    return _of_services("spans", "span", found.nodes, found.times, scope, sources, entities)


def topology(graph: GraphStore) -> Finding:
    """Whether it is known who depends on whom. Raises StoreError, SourceError."""
    nodes = graph.nodes()
    alone = graph.nodes(alone=True)
    says = f"{len(nodes)} nodes, {len(alone)} of them without a dependency"
    if len(nodes) > len(alone):
        return Finding(says)
    return Finding(
        f"{says}: causes are told from each other by time alone", "aiops graph import FILE, or a trace source"
    )


def round_trip(queue: JobQueue) -> Finding:
    """Whether the queue keeps what it is told; no job of anybody is touched. Raises StoreError."""
    mark = Presence(f"aiops doctor {uuid4().hex[:8]}", ("aiops:doctor",), 0)
    queue.announce(mark, 60)
    there = mark in queue.workers()
    queue.announce(mark, 0)
    if not there or any(worker.name == mark.name for worker in queue.workers()):
        raise StoreError("what is written to the queue is not read there, or not taken away again")
    waiting, oldest = queue.depth(), queue.oldest()
    waits = f", the first for {max((datetime.now(UTC) - oldest).total_seconds(), 0):.0f} s" if oldest else ""
    return Finding(f"written, read and taken away; {waiting} jobs wait{waits}")


def answer(model: LanguageModel, seen: Survey, timeout: float) -> Finding:
    """Whether the language model answers a question as it is asked, in the form that is asked for. Raises ModelError."""
    catalog = Catalog(seen.few, (), {})
    schema = ask_model.schema(catalog)
    words = f"why is {next(iter(seen.few), 'it')} slow?"
    said = model.complete(ask_model.prompt(words, None, words), schema, timeout)
    try:
        slots = json.loads(said)
        kept = sorted(slots) == sorted(schema["required"]) and {"unknown", *seen.few}.issuperset(slots["services"])
    except (ValueError, TypeError):
        kept = False
    if not kept:
        raise ModelError(f"the language model does not keep to the form asked for: {said[:60]!r}")
    return Finding(f"{words!r} is answered, in the form asked for")


def receivers(webhooks: Mapping[str, tuple[str, ...]]) -> Finding:
    """Whether an Alertmanager with these receivers sends to us, as far as it tells."""
    if not webhooks:
        mend = "a receiver with webhook_configs to /v1/webhooks/alertmanager, and a route to it (docs/serving.md)"
        return Finding("no route of Alertmanager leads to a webhook", mend)
    told = {address for addresses in webhooks.values() for address in addresses}
    ours = sorted(address for address in told if address.rstrip("/").endswith(WEBHOOK))
    if ours:
        return Finding(f"Alertmanager sends to {', '.join(ours)}")
    if "" in told:
        names = ", ".join(sorted(webhooks))
        return Finding(
            f"Alertmanager sends to webhooks ({names}) whose addresses it hides; --send-test-alert proves the way"
        )
    return Finding(f"Alertmanager sends to {', '.join(sorted(told))}", f"a receiver with {WEBHOOK} (docs/serving.md)")


def clock(skew_s: float | None) -> Finding:
    """How far the clock of a source is from ours."""
    if skew_s is None:
        return Finding("is not told")
    if abs(skew_s) <= AHEAD_S:
        return Finding("agrees with ours")
    words = "ahead of" if skew_s > 0 else "behind"
    return Finding(f"is {abs(skew_s):.0f} s {words} ours: onsets and windows are off by that", "set both clocks by NTP")


# ---------------------------------------------------------------- how


def _scope(nodes: tuple[str, ...], sources: Sources, entities: Entities) -> Scope:
    """The last minutes, or all of a recording."""
    fixed = sources.metrics.window()
    if fixed:
        at, whole = work.moments(sources.metrics)[1], fixed
    else:
        end = datetime.now(UTC)
        at, whole = end - SPAN, TimeRange(end - 2 * SPAN, end)
    about = queries(nodes, entities)
    return Scope(at, TimeRange(whole.start, at), TimeRange(at, whole.end), nodes=nodes, queries=about)


def _only(labels: Labels, name: str) -> Labels:
    return {name: labels[name]} if name in labels else {}


def _of_services(
    what: str,
    kind: str,
    nodes: ObjectArray,
    times: IntArray,
    scope: Scope,
    sources: Sources,
    entities: Entities,
) -> Finding:
    window = TimeRange(scope.baseline.start, scope.incident.end)
    there = sorted({entities.aliases.get(node, node) for node in set(nodes.tolist()) if node} & set(scope.nodes))
    if not len(times):
        asked = f"the {len(scope.nodes)} services with the most series" if scope.nodes else "anything"
        by = ", ".join(entities.labels[kind])
        return Finding(
            f"no {what} of {asked} in {_span(window)}",
            f"the labels of rules/entities.yaml ({kind}: {by}) must name services as the metrics do",
        )
    return _aged(f"{len(times)} {what} of {len(there)} services in {_span(window)}", times, sources)


def _span(window: TimeRange) -> str:
    return f"{window.duration / timedelta(minutes=1):.0f} minutes"


def _aged(says: str, times: IntArray, sources: Sources) -> Finding:
    """With the age of what is newest, where that means anything."""
    if sources.metrics.window():
        return Finding(says)
    age = (to_ns(datetime.now(UTC)) - int(np.max(times))) / NS
    if age < -AHEAD_S:
        return Finding(f"{says}, the newest from {-age:.0f} s ahead", "set both clocks by NTP")
    return Finding(
        f"{says}, the newest {max(age, 0):.0f} s old", "nothing is written there any more" if age > OLD_S else ""
    )
