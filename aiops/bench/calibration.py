"""How much a score can be believed: the logistic regression of rules/ranking.yaml, refitted without the data set it is judged on.

Predictions come from the recorded incidents as they are, noticed late and cut short (`VARIANTS`), with sources taken away (`WITHOUT`), and from
fault-free windows (`quiet`), which together weigh a tenth of the incidents: an alert fires more often for a reason than for none.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aiops.domain import FloatArray, Logs, Observation, RootCauses, Spans
from aiops.kernels.kinds import Kind, kind_of

QUIET_SHARE = 0.1  # of the weight of all diagnoses of incidents
LEAST_WEIGHT = 1e-3
RIDGE = 1e-2
STEPS = 50  # of Newton's method; it stops moving after ten
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """One diagnosis: log weight of the first cause, its share of all weight, and whether it is right. `part` is a variant's name
    or `quiet`."""

    dataset: str
    part: str
    log_weight: float
    share: float
    right: bool


def point(dataset: str, part: str, causes: RootCauses, truth: str | None) -> Point | None:
    """None where nothing was named; `truth` None: nothing named would be right."""
    if not causes.candidates:
        return None
    weights = [math.fsum(e.weight for e in c.evidence) * math.exp(-c.path.cost) for c in causes.candidates]
    first = causes.candidates[0]
    log_weight = math.log(max(weights[0], LEAST_WEIGHT))
    return Point(dataset, part, log_weight, weights[0] / math.fsum(weights), first.node == truth)


def fit(points: Sequence[Point]) -> FloatArray:
    """(intercept, log_weight, share) of a ridge logistic regression by Newton's method."""
    x = np.array([[1.0, p.log_weight, p.share] for p in points])
    y = np.array([p.right for p in points], dtype=np.float64)
    quiet = np.array([p.part == "quiet" for p in points])
    weight = np.where(quiet, QUIET_SHARE * (~quiet).sum() / max(1, quiet.sum()), 1.0)
    beta = np.zeros(3)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-x @ beta))
        gradient = x.T @ (weight * (y - p)) - RIDGE * beta
        beta = beta + np.linalg.solve((x * (weight * p * (1.0 - p))[:, None]).T @ x + RIDGE * np.eye(3), gradient)
    return beta


def predict(beta: FloatArray, points: Sequence[Point]) -> FloatArray:
    """(N,) probability that each is right."""
    x = np.array([[1.0, p.log_weight, p.share] for p in points])
    return np.asarray(1.0 / (1.0 + np.exp(-x @ beta)))


def left_out(points: Sequence[Point]) -> list[tuple[Point, float]]:
    """Each point with the probability given by the fit on all other data sets."""
    judged = []
    for dataset in sorted({p.dataset for p in points}):
        mine = [p for p in points if p.dataset == dataset]
        others = [p for p in points if p.dataset != dataset]
        judged += list(zip(mine, predict(fit(others), mine).tolist(), strict=True))
    return judged


def error(judged: Iterable[tuple[Point, float]], bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (M. P. Naeini et al., AAAI 2015)."""
    pairs = [(score, float(p.right)) for p, score in judged]
    total = 0.0
    for k in range(bins):
        inside = [(s, y) for s, y in pairs if min(int(s * bins), bins - 1) == k]
        if inside:
            total += abs(math.fsum(s - y for s, y in inside))
    return total / len(pairs)


def table(points: Sequence[Point]) -> str:
    """The coefficients, the calibration error and the reliability of left-out predictions on incidents."""
    judged = [(p, score) for p, score in left_out(points) if p.part != "quiet"]
    whole = [(p, score) for p, score in judged if p.part == "whole"]
    intercept, log_weight, share = fit(points)
    lines = [
        f"all data: intercept {intercept:.2f}, log_weight {log_weight:.2f}, share {share:.2f}",
        f"calibration error, each data set left out: {error(judged):.3f} of {len(judged)}, {error(whole):.3f} of {len(whole)} whole",
        f"{'score':<12}{'n':>5}{'mean':>8}{'right':>8}",
    ]
    for low, high in pairwise(BINS):
        inside = [(s, p.right) for p, s in judged if low <= s < high or s == high == 1.0]
        if inside:
            mean, right = np.mean([s for s, _ in inside]), np.mean([y for _, y in inside])
            lines.append(f"{f'{low:.1f}-{high:.1f}':<12}{len(inside):>5}{mean:>8.2f}{right:>8.2f}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- sources taken away


def _no_logs(seen: Observation) -> Observation:
    return dataclasses.replace(seen, logs=Logs.empty())


def _no_spans(seen: Observation) -> Observation:
    """Nor logs, which are tied to operations by their spans."""
    return dataclasses.replace(seen, logs=Logs.empty(), spans=Spans.empty())


def _no_cpu(seen: Observation) -> Observation:
    panel = seen.panel
    keep = [row for row, metric in enumerate(panel.metrics) if kind_of(metric) is not Kind.CPU]
    labels, nodes = tuple(panel.labels[r] for r in keep), tuple(panel.nodes[r] for r in keep)
    return dataclasses.replace(
        seen, panel=dataclasses.replace(panel, labels=labels, values=panel.values[keep], nodes=nodes)
    )


def _no_calls(seen: Observation) -> Observation:
    return dataclasses.replace(seen, calls=())


WITHOUT: Mapping[str, Callable[[Observation], Observation]] = {
    "no logs": _no_logs,
    "no spans": _no_spans,
    "no cpu": _no_cpu,
    "no calls": _no_calls,
}
VARIANTS: tuple[tuple[str, float, float | None], ...] = (
    ("whole", 0.0, None),
    ("late", 60.0, None),
    ("60 s", 0.0, 60.0),
    ("0 s", 0.0, 0.0),
)  # name, noticed later by, data end after
