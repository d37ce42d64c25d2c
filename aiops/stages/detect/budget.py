"""Whose time, and whose failures, the symptom is made of.

A caller's latency contains its callees'. In one unit - busy seconds per sample (latency x requests), failed requests per
sample ((1 - availability) x requests) - the books must balance: what a node has in excess, less what its callees have in
excess, is its own. The excess is a *contrast within the incident* (samples where the symptom hurts against samples where it
does not, weighted by the symptom itself), so that a level which merely differs from an old baseline cancels out, and it counts
by the squared correlation with the symptom. A callee that the baseline has never seen is its caller's doing (a call that was
never made before), so its excess stays with the caller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aiops.domain import FloatArray, Panel, Scope
from aiops.kernels.robust import location_scale
from aiops.stages.detect.kinds import Kind, kind_of, statistic_rank
from aiops.stages.detect.series import FULL_SCALE_FLOOR, RELATIVE_FLOOR, full_scale

HURTS = 1.0  # robust sigmas between the symptom's best and worst sample: less is no contrast to weigh by
MEAN_LIKE = 1  # largest `statistic_rank` that adds up


@dataclass(frozen=True, slots=True)
class Account:
    """One node's books over the incident. `excess` in `unit` per sample, `own` = excess less the callees', `agreement` the
    squared correlation with the symptom; `evidence` = own x agreement as a share of the largest, times how much the symptom
    hurts at all."""

    node: str
    unit: str
    excess: float
    own: float
    agreement: float
    evidence: float


def accounts(panel: Panel, scope: Scope, callees: Mapping[str, tuple[str, ...]]) -> list[Account]:
    """Accounts of all nodes in the currency of the violated symptom metric; [] when the symptom shows no contrast."""
    profile = symptom_profile(panel, scope)
    if profile is None:
        return []
    pain, currency, contrast = profile
    spent = _spending(panel, currency)
    hurting = pain / pain.sum()
    resting = (pain.max() - pain) / (pain.max() - pain).sum()
    excess = {node: float((hurting - resting) @ values) for node, values in spent.items()}
    unheard = _unheard_of(panel)
    unit = "s" if currency is Kind.LATENCY else "failed requests"
    books = []
    for node in sorted(excess):
        if node in unheard:
            continue
        below = sum(max(0.0, excess.get(c, 0.0)) for c in callees.get(node, ()) if c not in unheard and c != node)
        own = max(0.0, min(excess[node], excess[node] - below))
        agreement = _agreement(spent[node], pain)
        books.append(Account(node, unit, excess[node], own, agreement, own * agreement))
    top = max((b.evidence for b in books), default=0.0)
    if top <= 0:
        return []
    return [dataclasses.replace(b, evidence=b.evidence / top * contrast) for b in books]


def symptom_profile(panel: Panel, scope: Scope) -> tuple[FloatArray, Kind, float] | None:
    """((I,) how much the symptom hurts in each incident sample, above its best sample; its currency; contrast in [0, 1]).

    None when the symptom has no series of latency, availability or errors, or doesn't hurt in one sample more than in another.
    """
    rows = [
        r
        for r, node in enumerate(panel.nodes)
        if node == scope.symptom_node and panel.metrics[r] == scope.symptom_metric
    ]
    if not rows or panel.incident.sum() < 2:
        return None
    kind = kind_of(panel.metrics[rows[0]])
    if kind not in (Kind.LATENCY, Kind.AVAILABILITY, Kind.ERRORS):
        return None
    values = panel.values[rows[:1]]
    location, scale = location_scale(values[:, ~panel.incident])
    if not np.isfinite(location[0]):
        return None
    sign = -1.0 if kind is Kind.AVAILABILITY else 1.0
    floor = FULL_SCALE_FLOOR * full_scale(values[0]) if kind is Kind.AVAILABILITY else RELATIVE_FLOOR * abs(location[0])
    pain = sign * np.where(np.isnan(values[0]), location[0], values[0])[panel.incident]
    pain = pain - pain.min()
    sigmas = float(pain.max()) / max(float(scale[0]), floor, 1e-300)
    if sigmas < HURTS:
        return None
    currency = Kind.LATENCY if kind is Kind.LATENCY else Kind.ERRORS
    return pain, currency, sigmas * sigmas / (sigmas * sigmas + HURTS * HURTS)


def _spending(panel: Panel, currency: Kind) -> dict[str, FloatArray]:
    """Node id -> (I,) busy seconds or failed requests of each incident sample, where latency (availability) and requests are known."""
    rows: dict[str, dict[Kind, int]] = {}
    for row, node in enumerate(panel.nodes):
        kind, known = kind_of(panel.metrics[row]), rows.setdefault(node, {})
        other = known.get(kind)
        if kind is Kind.LATENCY and statistic_rank(panel.metrics[row]) > MEAN_LIKE:
            continue  # a high quantile times requests is nobody's time
        if node and (other is None or _stands_better(panel.metrics[row], panel.metrics[other])):
            known[kind] = row
    incident = panel.values[:, panel.incident]
    spent: dict[str, FloatArray] = {}
    for node, known in rows.items():
        if Kind.TRAFFIC not in known:
            continue
        requests = np.nan_to_num(incident[known[Kind.TRAFFIC]])
        if currency is Kind.LATENCY and Kind.LATENCY in known:
            spent[node] = np.nan_to_num(incident[known[Kind.LATENCY]]) * requests
        elif currency is Kind.ERRORS and Kind.AVAILABILITY in known:
            row = known[Kind.AVAILABILITY]
            full = full_scale(panel.values[row])
            spent[node] = (1.0 - np.nan_to_num(incident[row], nan=full) / full) * requests
    return spent


def _stands_better(metric: str, other: str) -> bool:
    return (statistic_rank(metric), metric) < (statistic_rank(other), other)


def _unheard_of(panel: Panel) -> set[str]:
    """Nodes that have samples in the incident and none that tells anything in the baseline."""
    baseline = panel.values[:, ~panel.incident]
    told = (np.nan_to_num(baseline) != 0).any(axis=1)
    now = (np.nan_to_num(panel.values[:, panel.incident]) != 0).any(axis=1)
    known = {node for row, node in enumerate(panel.nodes) if told[row]}
    return {node for row, node in enumerate(panel.nodes) if now[row] and node not in known}


def _agreement(values: FloatArray, pain: FloatArray) -> float:
    """Squared correlation, 0 when negative or undefined."""
    a, b = values - values.mean(), pain - pain.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return max(0.0, float(a @ b) / norm) ** 2 if norm > 0 else 0.0
