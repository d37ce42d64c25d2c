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
from aiops.kernels.kinds import Kind, kind_of, statistic_rank
from aiops.kernels.robust import location_scale
from aiops.stages.detect.series import RELATIVE_FLOOR, full_scale

HURTS = 1.0  # robust sigmas between the symptom's best and worst sample: less is no contrast to weigh by
CONTRAST_HALF = 2.0  # sigmas at which that contrast counts half: five quiet samples differ by two
UNUSUAL_HALF = 5.0  # sigmas of the node's own books at which its excess counts half
SYMPTOM_FLOOR = 0.001  # of an availability's full scale; an entry sees enough requests for a thousandth
LEAST_FAILURES = 0.5  # failed requests per sample: the smallest sigma of a node's failures
MEAN_LIKE = 1  # largest `statistic_rank` that adds up


@dataclass(frozen=True, slots=True)
class Account:
    """One node's books over the incident. `excess` in `unit` per sample, `own` = excess less the callees', `agreement` the
    squared correlation with the symptom, `unusual` = own in robust sigmas of the node's own baseline; `evidence` =
    own x agreement as a share of the largest, times how unusual that is here and how far the symptom's profile can be trusted."""

    node: str
    unit: str
    excess: float
    own: float
    agreement: float
    unusual: float
    evidence: float


@dataclass(frozen=True, slots=True)
class Profile:
    """How much the symptom hurts: `pain` (I,) above its best incident sample, its `currency` (latency or errors), and
    `contrast` in [0, 1]: how far pain leaves what quiet samples differ by; `known` = (n - 1) / n for n samples: how much of
    it is not one sample's accident."""

    pain: FloatArray
    currency: Kind
    contrast: float
    known: float


def accounts(panel: Panel, profile: Profile | None, callees: Mapping[str, tuple[str, ...]]) -> list[Account]:
    """Accounts of all nodes in the currency of the violated symptom metric; [] when the symptom shows no contrast."""
    if profile is None:
        return []
    pain, currency, trust = profile.pain, profile.currency, profile.contrast * profile.known
    books, unheard = _spending(panel, currency, callees), _unheard_of(panel)
    spent = {node: values[panel.incident] for node, values in books.items()}
    sigma = {node: _sigma(values[~panel.incident], currency) for node, values in books.items()}
    hurting = pain / pain.sum()
    resting = (pain.max() - pain) / (pain.max() - pain).sum()
    excess = {node: float((hurting - resting) @ values) for node, values in spent.items()}
    unit = "s" if currency is Kind.LATENCY else "failed requests"
    found = []
    for node in sorted(excess):
        if node in unheard:
            continue
        below = sum(max(0.0, excess.get(c, 0.0)) for c in callees.get(node, ()) if c not in unheard and c != node)
        own = max(0.0, min(excess[node], excess[node] - below))
        with_pain = agreement(spent[node], pain)
        found.append(Account(node, unit, excess[node], own, with_pain, own / sigma[node], own * with_pain))
    top = max((a.evidence for a in found), default=0.0)
    if top <= 0:
        return []
    return [
        dataclasses.replace(a, evidence=a.evidence / top * trust * _half_at(a.unusual, UNUSUAL_HALF)) for a in found
    ]


def _half_at(value: float, half: float) -> float:
    return value * value / (value * value + half * half)


def _sigma(baseline: FloatArray, currency: Kind) -> float:
    """Robust scale of one node's books, with a floor: a twentieth of its usual time, or half a failed request."""
    location, scale = location_scale(baseline[None, :])
    floor = RELATIVE_FLOOR * abs(float(location[0])) if currency is Kind.LATENCY else LEAST_FAILURES
    sigma = max(float(scale[0]), floor) if np.isfinite(scale[0]) else floor
    return sigma if sigma > 0 else np.inf


def symptom_profile(panel: Panel, scope: Scope) -> Profile | None:
    """None when the symptom has no series of latency, availability or errors, or doesn't hurt in one sample more than in another."""
    named = enumerate(zip(panel.nodes, panel.metrics, strict=True))
    rows = [r for r, name in named if name == (scope.symptom_node, scope.symptom_metric)]
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
    floor = SYMPTOM_FLOOR * full_scale(values[0]) if kind is Kind.AVAILABILITY else RELATIVE_FLOOR * abs(location[0])
    pain = sign * np.where(np.isnan(values[0]), location[0], values[0])[panel.incident]
    pain = pain - pain.min()
    sigmas = float(pain.max()) / max(float(scale[0]), floor, 1e-300)
    if sigmas < HURTS:
        return None
    currency = Kind.LATENCY if kind is Kind.LATENCY else Kind.ERRORS
    return Profile(pain, currency, _half_at(sigmas, CONTRAST_HALF), (len(pain) - 1) / len(pain))


def _spending(panel: Panel, currency: Kind, callees: Mapping[str, tuple[str, ...]]) -> dict[str, FloatArray]:
    """Node id -> (T,) busy seconds or failed requests of each sample, where latency (availability) and requests are known.

    A node that does not count its requests is taken to get those of its busiest caller, one for one."""
    rows: dict[str, dict[Kind, int]] = {}
    metrics = panel.metrics
    for row, node in enumerate(panel.nodes):
        kind, known = kind_of(metrics[row]), rows.setdefault(node, {})
        other = known.get(kind)
        if kind is Kind.LATENCY and statistic_rank(metrics[row]) > MEAN_LIKE:
            continue  # a high quantile times requests is nobody's time
        if node and (other is None or _stands_better(metrics[row], metrics[other])):
            known[kind] = row
    values = panel.values
    counted = {n: np.nan_to_num(values[known[Kind.TRAFFIC]]) for n, known in rows.items() if Kind.TRAFFIC in known}
    requested = {**_passed_on(counted, callees), **counted}
    spent: dict[str, FloatArray] = {}
    for node, known in rows.items():
        requests = requested.get(node)
        if requests is None:
            continue
        if currency is Kind.LATENCY and Kind.LATENCY in known:
            spent[node] = np.nan_to_num(values[known[Kind.LATENCY]]) * requests
        elif currency is Kind.ERRORS and Kind.AVAILABILITY in known:
            row = known[Kind.AVAILABILITY]
            full = full_scale(panel.values[row])
            spent[node] = (1.0 - np.nan_to_num(values[row], nan=full) / full) * requests
    return spent


def _passed_on(counted: Mapping[str, FloatArray], callees: Mapping[str, tuple[str, ...]]) -> dict[str, FloatArray]:
    """Node id -> (T,) requests of its busiest caller."""
    busiest: dict[str, FloatArray] = {}
    for caller in sorted(counted.keys() & callees.keys()):
        for callee in callees[caller]:
            if callee not in busiest or counted[caller].sum() > busiest[callee].sum():
                busiest[callee] = counted[caller]
    return busiest


def _stands_better(metric: str, other: str) -> bool:
    return (statistic_rank(metric), metric) < (statistic_rank(other), other)


def _unheard_of(panel: Panel) -> set[str]:
    """Nodes that have samples in the incident and none that tells anything in the baseline."""
    baseline = panel.values[:, ~panel.incident]
    told = (np.nan_to_num(baseline) != 0).any(axis=1)
    now = (np.nan_to_num(panel.values[:, panel.incident]) != 0).any(axis=1)
    known = {node for row, node in enumerate(panel.nodes) if told[row]}
    return {node for row, node in enumerate(panel.nodes) if now[row] and node not in known}


def agreement(values: FloatArray, pain: FloatArray) -> float:
    """Squared correlation, 0 when negative or undefined."""
    a, b = values - values.mean(), pain - pain.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return max(0.0, float(a @ b) / norm) ** 2 if norm > 0 else 0.0
