"""After the report: what a diagnosis saw -> what the graph keeps of it. Pure, and bounded by what a report holds.

Dependencies that were observed go into the topology, so that the next diagnosis knows where to look. What stood out at the
nodes (alerts, metrics, log templates, changes) is kept as sightings, for people to look up; no diagnosis reads them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import permutations

from aiops.domain import Anomaly, Call, Entity, EntityKind, Event, EventKind, Observation, Report, Scope, Sighting
from aiops.ports import LONGEST_NAME
from aiops.stages.topology import LABELS, SERVICE_GRAPH, TRACES

OBSERVED = (TRACES, SERVICE_GRAPH, LABELS)
INFERRED = "learned"
MOST = 40  # sightings of each kind, the strongest
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+|\d+")


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stood out at a node, and when."""

    entity: Entity
    at: datetime
    source: str


def dependencies(observation: Observation, scope: Scope) -> tuple[Call, ...]:
    """The calls that this diagnosis observed itself, and each node that none of them ties to another as a call of itself.

    What was declared stays where it was declared; what was guessed is not kept, or one diagnosis would teach the next its guesses.
    """
    since = scope.baseline.start
    seen = (c for c in observation.calls if c.source in OBSERVED and c.last_seen and c.last_seen >= since)
    calls = [c for c in seen if _short(c.caller) and _short(c.callee)]
    tied = {end for call in calls for end in (call.caller, call.callee)}
    watched = {*observation.panel.nodes, *observation.logs.nodes, *observation.spans.nodes}
    alone = sorted(node for node in watched - tied if _real(node))
    return (*calls, *(Call(node, node, LABELS) for node in alone))


def sightings(report: Report, observation: Observation) -> tuple[Sighting, ...]:
    """At most `MOST` of each kind, sorted.

    CONTAINS: a node and what stood out at it. TRIGGERS: what stood out at a node, and an alert of that node after it; a change, and
    what stood out there after it. CORRELATES_WITH: the strongest anomalies of two nodes that depend on each other, earlier to later.
    """
    things = _things(report)
    moment = report.symptom.at
    kinds = {
        "CONTAINS": [_contains(thing, moment or thing.at) for thing in things],
        "TRIGGERS": list(_triggers(things)),
        "CORRELATES_WITH": list(_correlates(report.anomalies, observation.calls)),
    }
    kept: dict[tuple[str, ...], Sighting] = {}
    for found in kinds.values():
        for one in sorted(found, key=lambda s: (-s.strength, s.key, s.last_seen))[:MOST]:
            other = kept.get(one.key)
            kept[one.key] = _merged(other, one) if other else one
    return tuple(kept[key] for key in sorted(kept))


def strength(gap: timedelta, one: str, other: str) -> float:
    """How much two things have to do with each other, in [0.07, 1]: closeness in time by seven tenths, common words by three.

    0.7 max(0.1, 1 / log10(gap in seconds + 2)) + 0.3 Jaccard(words), by the owner's design document. As written the first part
    exceeds 1 within eight seconds; here it stops there, so that a strength stays a share.
    """
    close = min(1.0, max(0.1, 1.0 / math.log10(abs(gap.total_seconds()) + 2.0)))
    mine, theirs = _words(one), _words(other)
    common = len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0
    return 0.7 * close + 0.3 * common


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(text))


def _real(node: str) -> bool:
    """Virtual nodes (`_...`) stand for measurements of the whole."""
    return bool(node) and not node.startswith("_") and _short(node)


def _short(node: str) -> bool:
    """Longer names no graph store takes; no service has one."""
    return len(node.encode(errors="surrogatepass")) <= LONGEST_NAME


def _things(report: Report) -> list[Thing]:
    """The metrics, log templates, alerts and changes of a report."""
    metrics = (Thing(Entity(EntityKind.METRIC, a.node, a.metric), a.onset, "metrics") for a in report.anomalies)
    things = (thing for thing in (*metrics, *map(_thing, report.events)) if thing and _real(thing.entity.service))
    return [replace(thing, entity=_cut(thing.entity)) for thing in things]


def _cut(entity: Entity) -> Entity:
    """A log template may be as long as its line; its beginning tells which it is."""
    name = entity.name.encode(errors="surrogatepass")[:LONGEST_NAME].decode(errors="ignore")
    return replace(entity, name=name)


def _thing(event: Event) -> Thing | None:
    match event.kind:
        case EventKind.ALERT:
            return Thing(Entity(EntityKind.ALERT, event.node, event.what), event.at, "alerts")
        case EventKind.LOG:
            return Thing(Entity(EntityKind.LOG_TEMPLATE, event.node, event.template), event.at, "logs")
        case EventKind.CHANGE:
            name = f"{event.what} {event.at:%Y-%m-%dT%H:%M:%SZ} {event.summary}"
            return Thing(Entity(EntityKind.CHANGE, event.node, name), event.at, "changes")
        case EventKind.SPAN:
            return None  # a shift in what a service does is about its calls, no thing of its own


def _contains(thing: Thing, moment: datetime) -> Sighting:
    service = Entity(EntityKind.SERVICE, thing.entity.service)
    close = strength(thing.at - moment, thing.entity.service, thing.entity.name)
    return Sighting(service, thing.entity, "CONTAINS", thing.source, close, timedelta(0), thing.at, thing.at)


def _triggers(things: Sequence[Thing]) -> Iterator[Sighting]:
    for cause, effect in permutations(things, 2):
        kinds = cause.entity.kind, effect.entity.kind
        may = kinds[1] is EntityKind.ALERT if kinds[0] is not EntityKind.CHANGE else kinds[1] is not EntityKind.CHANGE
        same = cause.entity.service == effect.entity.service
        if may and same and kinds[0] is not EntityKind.ALERT and cause.at <= effect.at:
            yield _tie(cause, effect, "TRIGGERS")


def _correlates(anomalies: Sequence[Anomaly], calls: Sequence[Call]) -> Iterator[Sighting]:
    strongest: dict[str, Thing] = {}
    for a in sorted(anomalies, key=lambda a: (-a.score, a.onset, a.metric)):
        if _real(a.node):
            strongest.setdefault(a.node, Thing(Entity(EntityKind.METRIC, a.node, a.metric), a.onset, INFERRED))
    for one, other in sorted({tuple(sorted((c.caller, c.callee))) for c in calls if c.caller != c.callee}):
        if one in strongest and other in strongest:
            first, second = sorted((strongest[one], strongest[other]), key=lambda t: (t.at, t.entity.service))
            yield _tie(first, second, "CORRELATES_WITH")


def _tie(cause: Thing, effect: Thing, kind: str) -> Sighting:
    lag = effect.at - cause.at
    close = strength(lag, cause.entity.name, effect.entity.name)
    return Sighting(cause.entity, effect.entity, kind, INFERRED, close, lag, effect.at, effect.at)


def _merged(one: Sighting, other: Sighting) -> Sighting:
    """The same twice in one report: the times of both, the strength of the later."""
    late = max(one, other, key=lambda s: (s.last_seen, s.strength))
    return replace(late, first_seen=min(one.first_seen, other.first_seen))
