"""Published rankings, small, for comparison in `aiops bench rca`. Each sees what ours sees of metrics and calls, and nothing else.

- `deviation`   largest |z| of any of a service's series in the incident, by mean and standard deviation of its past
- `baro`        the robust scorer of BARO (L. Pham, H. Ha, H. Zhang, FSE 2024): median and interquartile range, upwards only, as its
                public code does; constant series are dropped
- `correlation` ranked correlation (M. Hardt et al., The PetShop dataset, CLeaR 2024): of the anomalous series those that go most
                significantly with the symptom over the incident
- `traversal`   anomaly traversal (same paper): anomalous nodes without an anomalous callee that an anomalous path links to the symptom,
                by the sum of scores on it

What the papers leave to one data set's columns is read off kinds of metrics: a service's series are those that carry the symptom's
metric, else those of its kind, else all. A method without an answer returns fewer services, and that counts against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from aiops.domain import FloatArray, Observation, Panel, Scope
from aiops.kernels.kinds import kind_of
from aiops.kernels.order import neutral
from aiops.kernels.robust import MAD_TO_SIGMA, quantiles

Ranker = Callable[[Observation, Scope], tuple[str, ...]]
ANOMALOUS = 5.0  # sigmas of the median absolute deviation, the threshold of the PetShop paper
FIRST_ROW = 2  # of the incident: the paper gives a fault two samples to show
LONGEST = 12  # nodes on a path of the traversal


def deviation(observation: Observation, scope: Scope) -> tuple[str, ...]:  # noqa: ARG001 - one signature for all
    """By the largest |z| of any series."""
    panel = observation.panel
    before, after = _sides(panel)
    mean, spread = _mean(before), _mean(np.square(before - _mean(before)[:, None])) ** 0.5
    return _by_largest(panel, np.abs(_scores(after, mean, spread)))


def baro(observation: Observation, scope: Scope) -> tuple[str, ...]:  # noqa: ARG001 - as above
    """By the largest robust score of any series, upwards."""
    panel = observation.panel
    before, after = _sides(panel)
    low, middle, high = quantiles(before, (0.25, 0.5, 0.75))
    width = np.where(high > low, high - low, 1.0)  # as scikit-learn's RobustScaler
    moves = np.nanmax(panel.values, axis=1, initial=-np.inf) > np.nanmin(panel.values, axis=1, initial=np.inf)
    return _by_largest(panel, np.where(moves[:, None], _scores(after, middle, width), np.nan))


def correlation(observation: Observation, scope: Scope) -> tuple[str, ...]:
    """By how significantly an anomalous series goes with the symptom."""
    panel = observation.panel
    target = _target(panel, scope)
    if target is None:
        return ()
    anomalous = _anomalous(panel, target)
    after = panel.values[:, panel.incident]
    best: dict[str, float] = {}
    for row in anomalous.keys() - {target}:
        best[panel.nodes[row]] = max(best.get(panel.nodes[row], 0.0), _significance(after[row], after[target]))
    return _ordered(best)


def traversal(observation: Observation, scope: Scope) -> tuple[str, ...]:
    """By the scores on the anomalous path to each anomalous node that has no anomalous callee."""
    panel = observation.panel
    target = _target(panel, scope)
    if target is None:
        return ()
    scores: dict[str, float] = {}
    for row, score in _anomalous(panel, target).items():
        scores[panel.nodes[row]] = max(scores.get(panel.nodes[row], 0.0), score)
    symptom = panel.nodes[target]
    return _ordered(_ends(_callees(observation, symptom), symptom, scores))


RANKERS: Mapping[str, Ranker] = {"|z|": deviation, "BARO": baro, "correlation": correlation, "traversal": traversal}


def _sides(panel: Panel) -> tuple[FloatArray, FloatArray]:
    return panel.values[:, ~panel.incident], panel.values[:, panel.incident]


def _mean(values: FloatArray) -> FloatArray:
    """(S, T) -> (S,), gaps left out; NaN where nothing is left."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nansum(values, axis=1) / np.sum(np.isfinite(values), axis=1))


def _scores(values: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (values - location[:, None]) / scale[:, None]
    return np.where(np.isfinite(z), z, np.nan)


def _by_largest(panel: Panel, scores: FloatArray) -> tuple[str, ...]:
    """Services by the largest score of any of their series at any time of the incident."""
    best: dict[str, float] = {}
    for row, node in enumerate(panel.nodes):
        known = scores[row][~np.isnan(scores[row])]
        if len(known):
            best[node] = max(best.get(node, -math.inf), float(known.max()))
    return _ordered(best)


def _ordered(scores: Mapping[str, float]) -> tuple[str, ...]:
    services = [node for node in scores if node and not node.startswith("_")]
    return tuple(sorted(services, key=lambda node: (-scores[node], neutral(node))))


def _target(panel: Panel, scope: Scope) -> int | None:
    """The symptom's own series."""
    pairs = zip(panel.nodes, panel.metrics, strict=True)
    return next((r for r, pair in enumerate(pairs) if pair == (scope.symptom_node, scope.symptom_metric)), None)


def _like(panel: Panel, target: int) -> list[int]:
    """Rows of services that carry the target's metric; where fewer than two do, those of its kind; else all."""
    metric, kind = panel.metrics[target], kind_of(panel.metrics[target])
    services = [r for r, node in enumerate(panel.nodes) if node and not node.startswith("_")]
    same = [r for r in services if panel.metrics[r] == metric]
    alike = [r for r in services if kind_of(panel.metrics[r]) is kind]
    return next(rows for rows in (same, alike, services) if len({panel.nodes[r] for r in rows}) > 1 or rows is services)


def _anomalous(panel: Panel, target: int) -> dict[int, float]:
    """Row -> score of the series like the target, and itself, that are anomalous at the first sample (from `FIRST_ROW` on) at
    which the target is; {} when it never is.

    Scores are sigmas by the median absolute deviation, infinite where that is 0 and the sample is not the median, as the
    paper's code divides; of a series that never moved, the distance itself, of which any counts."""
    before, after = _sides(panel)
    middle = quantiles(before, (0.5,))[0]
    away = np.abs(before - middle[:, None])
    absolute = quantiles(away, (0.5,))[0]
    still = np.nanmax(away, axis=1, initial=0.0) == 0
    distance = np.nan_to_num(np.abs(after - middle[:, None]))
    with np.errstate(invalid="ignore", divide="ignore"):
        sigmas = np.nan_to_num(distance / (MAD_TO_SIGMA * absolute[:, None]), nan=0.0, posinf=np.inf)
    scores, limit = np.where(still[:, None], distance, sigmas), np.where(still, 0.0, ANOMALOUS)
    hurting = np.flatnonzero(scores[target, FIRST_ROW:] > limit[target]) + FIRST_ROW
    if not len(hurting):
        return {}
    at = scores[:, hurting[0]]
    return {row: float(at[row]) for row in sorted({target, *_like(panel, target)}) if at[row] > limit[row]}


def _significance(a: FloatArray, b: FloatArray) -> float:
    """Student's t of the correlation, either sign; 0 where fewer than three samples are known."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3:
        return 0.0
    x, y = a[known] - a[known].mean(), b[known] - b[known].mean()
    norm = float((x @ x) * (y @ y))
    if norm <= 0:
        return 0.0
    explained = min(float(x @ y) ** 2 / norm, 1.0)
    return math.sqrt(explained * (known.sum() - 2) / max(1.0 - explained, 1e-12))


def _callees(observation: Observation, symptom: str) -> dict[str, set[str]]:
    """Whom each node calls. A symptom that no call mentions stands above those whom nobody calls."""
    down: dict[str, set[str]] = {}
    for call in observation.calls:
        if call.caller != call.callee:
            down.setdefault(call.caller, set()).add(call.callee)
    called = {node for callees in down.values() for node in callees}
    if symptom not in down.keys() | called:
        down[symptom] = down.keys() - called
    return down


def _ends(down: Mapping[str, set[str]], symptom: str, anomalous: Mapping[str, float]) -> dict[str, float]:
    """Anomalous nodes without an anomalous callee -> largest sum of scores on an anomalous path from the symptom."""
    found: dict[str, float] = {}
    start: tuple[str, ...] = (symptom,)
    waiting = [(start, anomalous[symptom])] if symptom in anomalous else []
    while waiting:
        path, total = waiting.pop()
        worse = sorted((down.get(path[-1], set()) & anomalous.keys()) - set(path))
        if not worse:
            found[path[-1]] = max(found.get(path[-1], 0.0), total)
        if len(path) < LONGEST:
            waiting += [((*path, node), total + anomalous[node]) for node in worse]
    return found
