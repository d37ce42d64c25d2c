"""Stage 6: CausalGraph + Findings -> RootCauses. One shortest-path search decides.

Every node c gets evidence S(c) = sum over channels of -log(1 - w e): independent ways to be guilty add up, each channel's share
can be read off. A super-sink is put behind the graph, reached from candidate c at the terminal cost -log(S(c) / sum S): a node
that is anomalous on its own account, with no anomalous callee to explain it, is cheap to end at. The cost of accusing c is

    cost(c) = sum over the path from c to the symptom of -log(strength)  +  terminal cost(c)

so the cheapest path from the symptom to the super-sink names the most probable cause, and Dijkstra finds it exactly.

`cost_model: source` (off by default) ends at any accused node for free, with the edge costs that `link` then sets, at most
`SOURCE_DEPTH` edges and `SOURCE_LIMIT` in total. Its defect: a smaller cost means a *healthier* edge, so minimising it walks
away from the fault; it is kept for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from aiops.domain import CausalGraph, CausalPath, Edge, Evidence, Findings, Gap, RootCause, RootCauses, Scope, Verdict
from aiops.kernels.kinds import Kind, kind_of
from aiops.kernels.order import neutral
from aiops.kernels.paths import Csr, csr, dijkstra, walk_back
from aiops.kernels.topk import Graph, cheapest
from aiops.stages.explain import called
from aiops.stages.link import GUESS
from aiops.telemetry import stage

SOURCE_DEPTH = 5
SOURCE_LIMIT = 8.0
WORTH_SAYING = 0.01  # share of a candidate's evidence below which a channel is noise to the reader
PRIOR = "prior"  # the channel of what earlier incidents taught
NO_PRIORS: Mapping[str, float] = MappingProxyType({})
KEPT = 20  # candidates handed on; nobody reads further


@dataclass(frozen=True, slots=True)
class Case:
    """What speaks against one candidate: its evidence, and the way from it to the symptom."""

    node: str
    shares: tuple[tuple[str, float], ...]  # (channel, -log(1 - w e)), largest first
    evidence: float
    path: CausalPath
    terminal: float

    @property
    def cost(self) -> float:
        return self.path.cost + self.terminal

    @property
    def weight(self) -> float:
        """Evidence discounted by the way: evidence x probability of the path."""
        return self.evidence * math.exp(-self.path.cost)


@stage("rank")
def rank(
    graph: CausalGraph,
    findings: Findings,
    scope: Scope,
    ranking: Mapping[str, Any],
    priors: Mapping[str, float] = NO_PRIORS,
) -> RootCauses:
    """Candidates in order of cost, the verdict by rule, and for each why it is not the first.

    priors: node id -> strength in [0, 1] of what was learned before this incident (`PRIOR`); it supports evidence, and
    accuses nobody against whom this incident says nothing. The verdict is the one without them.
    """
    if scope.symptom not in graph.nodes:
        return _nothing(f"the graph does not hold the symptom {scope.symptom}", scope)
    evidence, cost_model = weigh(findings, ranking["weights"]), str(ranking["cost_model"])
    seen = cases = _cases(graph, findings, evidence, scope.symptom, cost_model)
    if not cases:
        return _nothing("nothing left its normal range and no log, trace or change stands out", scope)
    if priors:
        cases = _cases(graph, findings, with_priors(evidence, priors, ranking), scope.symptom, cost_model)
    scores = probabilities([c.weight for c in cases], ranking["calibration"])
    candidates = tuple(
        _root_cause(place, case, cases[0], probability, findings)
        for place, (case, probability) in enumerate(zip(cases[:KEPT], scores, strict=False), 1)
    )
    gaps = _guessed(candidates[0])
    least = float(ranking["verdict"]["least_weight"])
    if seen[0].weight < least:
        reason = (
            f"the evidence against {seen[0].node} weighs {seen[0].weight:.2f}, "
            f"below the {least:.2f} that quiet systems hardly ever reach"
        )
        return RootCauses(Verdict.INCONCLUSIVE, reason, candidates, gaps)
    return RootCauses(Verdict.FOUND, f"{candidates[0].node} reaches {candidates[0].score:.2f}", candidates, gaps)


def nothing_to_rank(findings: Findings) -> RootCauses:
    """For tasks that ask for no cause."""
    return RootCauses(
        Verdict.INCONCLUSIVE, f"no cause was asked for; {len(findings.anomalies)} series left their band", ()
    )


def weigh(findings: Findings, weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Node id -> channel -> -log(1 - w e). Virtual nodes (`_...`) stand for measurements, not for things that break."""
    evidence: dict[str, dict[str, float]] = {}
    for channel, strengths in sorted(findings.channels.items()):
        for node, e in sorted(strengths.items()):
            if e > 0 and node and not node.startswith("_"):
                share = -math.log1p(-float(weights.get(channel, 0.0)) * min(e, 1.0))
                if share > 0:
                    evidence.setdefault(node, {})[channel] = share
    return evidence


def with_priors(
    evidence: Mapping[str, Mapping[str, float]], priors: Mapping[str, float], ranking: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """The evidence with what was learned before, for each node at most a part of what this incident says against it."""
    weight, at_most = float(ranking["weights"].get(PRIOR, 0.0)), float(ranking["prior"]["at_most"])
    out = {node: dict(channels) for node, channels in evidence.items()}
    for node, channels in out.items():
        share = -math.log1p(-weight * min(max(priors.get(node, 0.0), 0.0), 1.0))
        if share > 0:
            channels[PRIOR] = min(share, at_most * math.fsum(channels.values()))
    return out


def _nothing(reason: str, scope: Scope) -> RootCauses:
    gap = Gap("causal paths", reason, f"aiops graph show {scope.symptom_node or ''}".rstrip())
    return RootCauses(Verdict.INCONCLUSIVE, reason, (), (gap,))


def _guessed(first: RootCause) -> tuple[Gap, ...]:
    """What the first path lacks where `link` had to guess one of its edges: nobody saw the dependency that it stands for."""
    return tuple(
        Gap(
            f"how {called(edge.cause)} reaches {called(edge.effect)}",
            "no known dependency leads from one to the other, so this edge of the path is a guess",
            "aiops graph import FILE, or connect a trace source",
        )
        for edge in first.path.edges
        if edge.source == GUESS
    )


# ---------------------------------------------------------------- the search


def _cases(
    graph: CausalGraph, findings: Findings, evidence: Mapping[str, Mapping[str, float]], symptom: str, cost_model: str
) -> list[Case]:
    """All candidates with a path to the symptom, cheapest first; ties by a hash of the name."""
    index = {name: k for k, name in enumerate(graph.nodes)}
    sums = {node: math.fsum(channels.values()) for node, channels in evidence.items() if node in index}
    total = math.fsum(sums.values())
    source = cost_model == "source"
    terminal = {node: 0.0 if source else -math.log(s / total) for node, s in sums.items()}
    sink = len(graph.nodes)
    edges = [(index[e.effect], index[e.cause], c) for e, c in zip(graph.edges, _costs(graph), strict=True)]
    ends = [(index[node], sink, cost) for node, cost in terminal.items()]
    network = csr(sink + 1, [*edges, *ends])
    rows = [index[node] for node in terminal]
    ways = _short_ways(network, index[symptom], rows) if source else _ways(network, index[symptom], rows)
    onsets, best, found = findings.onsets(), _best(graph), []
    for node, cost in terminal.items():
        if index[node] not in ways:
            continue
        path = _path([graph.nodes[row] for row in ways[index[node]]], best, onsets)
        if source and path.cost >= SOURCE_LIMIT:
            continue
        shares = tuple(sorted(evidence[node].items(), key=lambda item: (-item[1], item[0])))
        found.append(Case(node, shares, sums[node], path, cost))
    return sorted(found, key=lambda c: (round(c.cost, 12), neutral(c.node)))


def _ways(network: Csr, symptom: int, rows: list[int]) -> dict[int, list[int]]:
    """Row -> cheapest way from it to the symptom, of those that have one. One search for all."""
    distance, before = dijkstra(*network, symptom)
    return {row: walk_back(before, row) for row in rows if not math.isinf(distance[row])}


def _short_ways(network: Csr, symptom: int, rows: list[int]) -> dict[int, list[int]]:
    """As `_ways`, of at most `SOURCE_DEPTH` edges: the cheapest of those, even where a longer way costs less."""
    graph = Graph.of(*network)
    ways = {row: cheapest(graph, symptom, row, 1, SOURCE_DEPTH) for row in rows}
    return {row: list(reversed(found[0][1])) for row, found in ways.items() if found}


def _costs(graph: CausalGraph) -> list[float]:
    return [max(0.0, -math.log(e.strength)) for e in graph.edges]


def _best(graph: CausalGraph) -> dict[tuple[str, str], Edge]:
    """(cause, effect) -> the strongest edge between the two."""
    best: dict[tuple[str, str], Edge] = {}
    for edge in graph.edges:
        other = best.setdefault((edge.cause, edge.effect), edge)
        if edge.strength >= other.strength:
            best[edge.cause, edge.effect] = edge
    return best


def _path(names: list[str], best: Mapping[tuple[str, str], Edge], onsets: Mapping[str, datetime]) -> CausalPath:
    """`names` lead from the cause to the symptom."""
    edges = tuple(best[pair] for pair in pairwise(names))
    cost = math.fsum(max(0.0, -math.log(e.strength)) for e in edges)
    return CausalPath(tuple(names), edges, tuple(onsets.get(n) for n in names), cost)


# ---------------------------------------------------------------- what is said


def _root_cause(place: int, case: Case, first: Case, probability: float, findings: Findings) -> RootCause:
    return RootCause(
        rank=place,
        node=case.node,
        metric=_metric(case.node, findings),
        score=probability,
        path=case.path,
        evidence=tuple(
            Evidence(name, _said(name, share, case.node, findings), weight=share)
            for name, share in case.shares
            if share >= WORTH_SAYING * case.evidence
        ),
        why_not="" if place == 1 else _why_not(case, first),
        fault=_fault(case.shares, findings, case.node),
    )


def _said(channel: str, share: float, node: str, findings: Findings) -> str:
    """A channel's reason in words. What was learned before says how much it adds: it is no evidence of this incident."""
    words = findings.reasons.get(channel, {}).get(node, channel)
    return f"{words}, +{share:.2f}" if channel == PRIOR else words


def probabilities(weights: Sequence[float], calibration: Mapping[str, float]) -> list[float]:
    """Probability of each candidate, weights in falling order. The first's is calibrated (`score`); the others share what it
    leaves by their weights, none above the first: together at most 1."""
    total = math.fsum(weights)
    first = score(weights[0], total, calibration)
    left = total - weights[0]
    return [first, *(min(first, (1.0 - first) * w / left) if left > 0 else 0.0 for w in weights[1:])]


def score(weight: float, total: float, calibration: Mapping[str, float]) -> float:
    """Probability that a candidate is the cause: logistic in log(weight) and in its share of all candidates' weight."""
    x = (
        float(calibration["intercept"])
        + float(calibration["log_weight"]) * math.log(max(weight, 1e-12))
        + float(calibration["share"]) * (weight / total if total > 0 else 0.0)
    )
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0


def _why_not(case: Case, first: Case) -> str:
    """The margin, so that it can be checked by hand: evidence x path of both, and the channel that made the difference."""
    mine, theirs = dict(case.shares), dict(first.shares)
    channel = max(sorted({*mine, *theirs}), key=lambda name: theirs.get(name, 0.0) - mine.get(name, 0.0))
    return (
        f"{first.node} has the stronger {channel} evidence ({theirs.get(channel, 0.0):.2f} against "
        f"{mine.get(channel, 0.0):.2f}); evidence x path is {case.evidence:.2f} x {math.exp(-case.path.cost):.2f} = "
        f"{case.weight:.2f} here, {first.evidence:.2f} x {math.exp(-first.path.cost):.2f} = {first.weight:.2f} there"
    )


def _metric(node: str, findings: Findings) -> str:
    """The strongest anomalous metric of the node; "" when its metrics are normal."""
    mine = [a for a in findings.anomalies if a.node == node]
    return max(mine, key=lambda a: (a.score, neutral(a.metric))).metric if mine else ""


# What kind of fault a channel speaks of, in the words that runbooks match (schema/runbook.py). `budget` and `resource` say it
# in their reasons.
_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "latency": "latency",
        "network": "network",
        "waiting": "network",
        "aborted": "errors",
        "errors": "errors",
        "logs": "errors",
        "silence": "crash",
        "change": "change",
    }
)
_RESOURCES: Mapping[Kind, str] = MappingProxyType({Kind.CPU: "cpu", Kind.MEMORY: "memory", Kind.DISK: "disk"})


def _fault(shares: Sequence[tuple[str, float]], findings: Findings, node: str) -> str:
    """The kind of fault that the strongest evidence of this incident speaks of; "" where it speaks of none."""
    channel = next((name for name, _ in shares if name != PRIOR), "")
    reason = findings.reasons.get(channel, {}).get(node, "")
    if channel == "resource":  # its reason begins with the metric
        return _RESOURCES.get(kind_of(reason.partition(" ")[0]), "saturation")
    if channel == "budget":
        return "errors" if "failed requests" in reason else "latency"
    return _FAULTS.get(channel, "")
