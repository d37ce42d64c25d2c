"""The causal path, ready to be shown: nodes with onsets, and between them what links them. All text is clean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import tzinfo

from aiops.domain import Chart, Edge, Evidence, Report, RootCause
from aiops.render.clean import clean
from aiops.render.language import listed, said, say
from aiops.render.values import figure, lag
from aiops.units import clock, moments, zone

# Nodes that stand for no service: what users feel, and the symptom that maps to no node.
_VIRTUAL = {"_entry": "the entry", "_symptom": "the whole system"}

# The source of an edge that nobody stated, and what it is called.
LEARNED = "learned"
GUESSED = "guessed"

MOST_CUT = 20

# What a node is on a path.
ROLES = {"cause": "Cause", "via": "Via", "symptom": "Symptom", "both": "Cause and symptom"}

# How an edge reads from cause to effect.
_RELATION = {"CALLS": "called by", "RUNS_ON": "hosts"}


@dataclass(frozen=True, slots=True)
class Link:
    """An edge in words: "called by", "0.20", "0.82", "+1 min", "traces", "09:02:00"."""

    relation: str
    cost: str
    strength: str
    lag: str
    source: str  # GUESSED where nobody stated it
    seen: str  # when last: a time of the symptom's own day, else a date; "" where nobody said


@dataclass(frozen=True, slots=True)
class Hop:
    """A node on the path. `link` leads to the next hop and is None at the symptom; `onset` is "" when nothing was seen."""

    node: str
    metric: str
    onset: str
    role: str  # cause | via | symptom | both
    chart: Chart | None
    note: str  # the first reason, where the cause has no series to show
    link: Link | None


def hops(cause: RootCause, report: Report, tz: tzinfo) -> tuple[Hop, ...]:
    """The path of one candidate from cause to symptom; a candidate without a path is one hop."""
    nodes = cause.path.nodes or (cause.node,)
    onsets = moments((*cause.path.onsets, *[None] * len(nodes))[: len(nodes)], tz)
    charts = _chart_by_node(report)
    metrics = _metric_by_node(cause, report)
    edges: list[Edge | None] = [*cause.path.edges[: len(nodes) - 1]]
    edges += [None] * (len(nodes) - len(edges))
    costs = (*cause.path.costs, *[0.0] * len(nodes))[: len(nodes)]
    return tuple(
        Hop(
            spoken(node),
            clean(metrics.get(node, ""), 120),
            onset,
            _role(index, len(nodes)),
            charts.get(node),
            clean(said(cause.evidence[0].summary), 110) if not index and cause.evidence and node not in charts else "",
            _link(edge, cost, report, tz) if edge else None,
        )
        for index, (node, onset, edge, cost) in enumerate(zip(nodes, onsets, edges, costs, strict=True))
    )


def one_line(cause: RootCause, report: Report, tz: tzinfo, arrow: str = "→") -> str:
    """As a sentence, "cart 09:02:00 → checkout 09:03:00 → frontend 09:04:00 UTC"."""
    steps = hops(cause, report, tz)
    known = [onset for onset in cause.path.onsets if onset]
    words = f" {arrow} ".join(f"{hop.node} {hop.onset}".rstrip() for hop in steps)
    return f"{words} {zone(known[0].astimezone(tz))}" if known else words


def sum_of_costs(cause: RootCause) -> str:
    """What the path costs, to be checked by hand: "0.05 traces (+1 min) + 0.69 guessed = 0.74, probability 0.48"; "" without edges."""
    path = cause.path
    if not path.edges:
        return ""
    steps = (
        f"{cost:.2f} {say(_source(edge))}" + (f" ({lag(edge.lag)})" if edge.lag else "")
        for edge, cost in zip(path.edges, path.costs, strict=True)
    )
    total = say("probability {share}", share=f"{math.exp(-path.cost):.2f}")
    return listed([f"{' + '.join(steps)} = {path.cost:.2f}", total])


def cut_edges(report: Report, arrow: str = "→") -> str:
    """Edges that were left out to break cycles, "a → b, c → d"; "" when there were none."""
    told = [f"{clean(e.cause, 80)} {arrow} {clean(e.effect, 80)}" for e in report.dropped[:MOST_CUT]]
    more = len(report.dropped) - len(told)
    return listed(told) + (say(" and {n} more", n=more) if more else "")


def spoken(node: str) -> str:
    """A node's name; one that stands for no service is called by what it is."""
    return say(_VIRTUAL[node]) if node in _VIRTUAL else clean(node, 120)


def telling(cause: RootCause) -> tuple[Evidence, ...]:
    """The evidence that moved the score: what weighs under a hundredth of the heaviest is noise. Unweighed evidence stays."""
    heaviest = max((e.weight for e in cause.evidence), default=0.0)
    return tuple(e for e in cause.evidence if not e.weight or e.weight >= heaviest / 100)


def _role(index: int, size: int) -> str:
    if size == 1:
        return "both"
    return "cause" if index == 0 else "symptom" if index == size - 1 else "via"


def _link(edge: Edge, cost: float, report: Report, tz: tzinfo) -> Link:
    relation = _RELATION.get(edge.kind, clean(edge.kind, 40).lower().replace("_", " "))
    after = lag(edge.lag) if edge.lag else ""
    return Link(say(relation), f"{cost:.2f}", figure(edge.strength), after, _source(edge), _seen(edge, report, tz))


def _seen(edge: Edge, report: Report, tz: tzinfo) -> str:
    if edge.last_seen is None:
        return ""
    day, at = edge.last_seen.astimezone(tz).date(), report.symptom.at
    return clock(edge.last_seen, tz) if at and at.astimezone(tz).date() == day else day.isoformat()


def _source(edge: Edge) -> str:
    return GUESSED if edge.source == LEARNED else clean(edge.source, 40)


def _chart_by_node(report: Report) -> dict[str, Chart]:
    """The first chart of each node: explain puts the most telling one first."""
    return {chart.node: chart for chart in reversed(report.charts)}


def _metric_by_node(cause: RootCause, report: Report) -> dict[str, str]:
    """The metric to name at each node: of its chart, else of its strongest anomaly; the cause's own for the cause."""
    ranked = sorted(report.anomalies, key=lambda a: a.score)
    named = {a.node: a.metric for a in ranked} | {node: c.metric for node, c in _chart_by_node(report).items()}
    return named | ({cause.node: cause.metric} if cause.metric else {})
