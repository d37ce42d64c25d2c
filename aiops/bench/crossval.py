"""What the ranking is worth on data that its numbers were not chosen on.

Half-strengths and weights are drawn at random around those of rules/ranking.yaml. The best on all data sets but one (or all fault
types but one) are judged on that one, as their geometric mean taken for one setting and by the mean of their figures. The channels
themselves were found on these incidents; no choice of numbers takes that back.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiops.domain import CausalGraph, Findings, Observation, Scope, Verdict
from aiops.stages.detect import detect
from aiops.stages.detect.channels import channels_of
from aiops.stages.detect.signs import Signs, signs_of
from aiops.stages.link import link
from aiops.stages.rank import rank

SETTINGS = 400
BEST = 20
HALF_SPREAD = 0.9  # of the logarithm: up to a factor of 2.5 either way
WEIGHT_SPREAD = (-0.7, 0.35)  # down to a half, up by two fifths: a probability has no room above
WEIGHT_RANGE = (0.05, 0.97)
DEPTH = 5  # Avg@5
MISSED = 99

Ranking = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """An incident whose cause is known, with all of its diagnosis that no half-strength or weight changes."""

    dataset: str
    fault: str
    cause: str
    scope: Scope
    signs: Signs
    findings: Findings
    graph: CausalGraph


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cause came: `order` among all candidates, `named` the same, or MISSED where the verdict was inconclusive."""

    dataset: str
    fault: str
    order: int
    named: int


def known(dataset: str, fault: str, cause: str, observation: Observation, scope: Scope, ranking: Ranking) -> Known:
    """Prepares one incident."""
    findings = detect(observation, scope, ranking)
    graph = link(findings, observation, scope, ranking)
    return Known(dataset, fault, cause, scope, signs_of(observation, scope), findings, graph)


def settings(ranking: Ranking, count: int, seed: int) -> list[Ranking]:
    """`count` random rankings around this one."""
    rng = np.random.default_rng(seed)
    low, high = WEIGHT_RANGE

    def drawn() -> Ranking:
        half = {k: float(v) * math.exp(rng.uniform(-HALF_SPREAD, HALF_SPREAD)) for k, v in ranking["half"].items()}
        weights = {
            k: min(high, max(low, float(v) * math.exp(rng.uniform(*WEIGHT_SPREAD))))
            for k, v in ranking["weights"].items()
        }
        return {**ranking, "half": half, "weights": weights}

    return [drawn() for _ in range(count)]


def places(incidents: Sequence[Known], ranking: Ranking) -> list[Place]:
    """The corridor from the channels on, for each incident under one setting."""
    return [_place(one, ranking) for one in incidents]


def _place(one: Known, ranking: Ranking) -> Place:
    channels, _ = channels_of(one.signs, one.scope, ranking["half"])
    causes = rank(one.graph, dataclasses.replace(one.findings, channels=channels), one.scope, ranking)
    order = next((c.rank for c in causes.candidates if c.node == one.cause), MISSED)
    return Place(one.dataset, one.fault, order, order if causes.verdict is Verdict.FOUND else MISSED)


def accuracy(ranks: Sequence[int]) -> tuple[float, float, float]:
    """AC@1, AC@3, Avg@5 of 1-based ranks; not empty."""
    at = [statistics.fmean(r <= k for r in ranks) for k in range(1, DEPTH + 1)]
    return at[0], at[2], statistics.fmean(at)


def chosen(tried: Sequence[Sequence[Place]], part: str, left: str) -> list[int]:
    """Indices of the `BEST` settings on the incidents whose `part` (dataset, fault) is not the one left out: by AC@1 + half of
    Avg@5, in order alone, each data set alike."""
    kept = [[p for p in seen if getattr(p, part) != left] for seen in tried]
    return sorted(range(len(tried)), key=lambda k: (-_quality(kept[k]), k))[:BEST]


def _quality(kept: Sequence[Place]) -> float:
    figures = [accuracy([p.order for p in kept if p.dataset == d]) for d in sorted({p.dataset for p in kept})]
    return round(statistics.fmean(first + average / 2.0 for first, _, average in figures), 9)


def middle(rankings: Sequence[Ranking]) -> Ranking:
    """Their geometric mean as one setting."""
    mean = {
        part: {k: statistics.geometric_mean(r[part][k] for r in rankings) for k in rankings[0][part]}
        for part in ("half", "weights")
    }
    return {**rankings[0], **mean}


def table(incidents: Sequence[Known], drawn: Sequence[Ranking], tried: Sequence[Sequence[Place]]) -> str:
    """Figures for each data set, then for each fault type, left out. `tried`: the places under each of the `drawn` settings."""
    lines = [
        f"{'left out':<22}{'':<20}{'n':>4}  {'order, one setting':<22}{'verdict, one setting':<22}verdict, mean of best"
    ]
    for dataset in sorted({i.dataset for i in incidents}):
        once, best = _without("dataset", dataset, incidents, drawn, tried)
        lines.append(_row(dataset, "all", once, best))
        lines += [_row("", fault, *_only("fault", fault, once, best)) for fault in sorted({p.fault for p in once})]
    lines.append("")
    for fault in sorted({i.fault for i in incidents}):
        once, best = _without("fault", fault, incidents, drawn, tried)
        lines += [_row(fault, d, *_only("dataset", d, once, best)) for d in sorted({p.dataset for p in once})]
    return "\n".join(lines) + "\n"


def _without(
    part: str, left: str, incidents: Sequence[Known], drawn: Sequence[Ranking], tried: Sequence[Sequence[Place]]
) -> tuple[list[Place], list[list[Place]]]:
    """The places of what is left out: under the one setting, and under each of the best."""
    best = chosen(tried, part, left)
    once = places([i for i in incidents if getattr(i, part) == left], middle([drawn[k] for k in best]))
    return once, [[p for p in tried[k] if getattr(p, part) == left] for k in best]


def _only(
    part: str, value: str, once: Sequence[Place], best: Sequence[Sequence[Place]]
) -> tuple[list[Place], list[list[Place]]]:
    return [p for p in once if getattr(p, part) == value], [
        [p for p in seen if getattr(p, part) == value] for seen in best
    ]


def _row(left: str, of: str, once: Sequence[Place], best: Sequence[Sequence[Place]]) -> str:
    order, named = accuracy([p.order for p in once]), accuracy([p.named for p in once])
    each = [accuracy([p.named for p in seen]) for seen in best]
    mean = [statistics.fmean(figures) for figures in zip(*each, strict=True)]
    cells = ["/".join(f"{x:.2f}" for x in figures) for figures in (order, named, mean)]
    return f"{left:<22}{of:<20}{len(once):>4}  {cells[0]:<22}{cells[1]:<22}{cells[2]}"
