"""From signs to channels: how far each node stands accused of each way to be guilty, given the half-strengths."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import timedelta

import numpy as np

from aiops.domain import Change, FloatArray, Observation, Panel, Scope
from aiops.kernels.kinds import Kind
from aiops.stages.detect.aborted import Abort
from aiops.stages.detect.budget import Account, Profile, agreement
from aiops.stages.detect.logs import TemplateShift
from aiops.stages.detect.resource import resource
from aiops.stages.detect.series import Scored, relative, typical_of
from aiops.stages.detect.signs import Signs

CHANGES_COUNT = timedelta(hours=1)
CIRCULAR = 0.3  # of the budget's word on the symptom's own node: that it hurts there is the question, not the answer
OTHER_CURRENCY = 0.3  # of slowness, where the symptom is failures: a slow call is not yet a failed one
EXTERNAL_HERE = 0.3  # of a metric's word for a node that no recorded call of the incident passed through


def channels_of(
    signs: Signs, scope: Scope, half: Mapping[str, float]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """(channel -> node id -> strength in [0, 1], node id -> half-strengths by which its most moved resource moved).

    half: each sign's half-strength, from rules/ranking.yaml."""
    seen, panel, scored, profile, trust = signs.seen, signs.seen.panel, signs.scored, signs.profile, signs.trust
    latency = _latency(panel, scored, signs.callees, profile, half["latency"])
    waits = _waiting(panel, scored, signs.callers, {gap.callee for gap in signs.gaps})
    errors = _errors(panel, signs.failures, signs.callees, profile, half["errors"], scope, signs.books)
    channels = {
        "latency": relative(_damped(latency, signs.unreached), half["latency"], trust),
        "budget": {
            a.node: a.evidence * (CIRCULAR if a.node == scope.symptom_node else 1.0)
            for a in signs.books
            if a.evidence > 0
        },
        "network": dict(signs.network),
        "waiting": _agreed(relative(waits, half["waiting"], trust), signs.callers),
        "aborted": relative(_strongest_abort(signs.broken), half["aborted"]),
        "logs": relative(_log_evidence(signs.templates), half["logs"]),
        "errors": _either(
            relative(errors, half["errors"], trust),
            relative({n: v for n, (v, _, _) in signs.failed.items()}, half["failed_spans"]),
        ),
        "silence": {n: samples / (samples + 1.0) for n, samples in signs.gone.items() if n != scope.symptom_node},
        "alert": {n: 1.0 for n in seen.alert_nodes if n and n != scope.symptom_node},
    }
    moved = resource(panel, scored, half, _suffering(channels), profile, scope)
    channels["resource"] = relative(_damped(moved, signs.unreached), 1.0, trust)
    channels["change"] = _change_evidence(seen, scope)
    return channels, moved


def _damped(values: dict[str, float], unreached: set[str]) -> dict[str, float]:
    return {node: v * (EXTERNAL_HERE if node in unreached else 1.0) for node, v in values.items()}


def _latency(
    panel: Panel, scored: Scored, callees: Mapping[str, tuple[str, ...]], profile: Profile | None, half: float
) -> dict[str, float]:
    """Node id -> rise of its own latency, explained away by each callee whose latency rose as well.

    Where the symptom shows when it hurts, a rise counts by its squared correlation with that: what was slow all along, or
    slow at another time, is not what hurts."""
    rise: dict[str, float] = {}
    for row, node in enumerate(panel.nodes):
        if scored.usable[row] and scored.kinds[row] is Kind.LATENCY and not node.startswith("_"):
            value = _when_it_hurts(float(scored.typical[row]), scored.z[row], profile, Kind.LATENCY)
            rise[node] = max(rise.get(node, 0.0), value)
    return _not_inherited(rise, callees, half)


def _errors(
    panel: Panel,
    failures: Mapping[str, tuple[float, int, FloatArray]],
    callees: Mapping[str, tuple[str, ...]],
    profile: Profile | None,
    half: float,
    scope: Scope,
    books: Collection[Account],
) -> dict[str, float]:
    """Node id -> rise of its failures, as `_latency`, where `budget` could not count them one by one. The symptom's own series
    is the question and says little here."""
    counted = {a.node for a in books} if profile is not None and profile.currency is Kind.ERRORS else set()
    rise, metrics = {}, panel.metrics
    for node, (value, row, z) in sorted(failures.items()):
        if node in counted:
            continue
        asked = (node, metrics[row]) == (scope.symptom_node, scope.symptom_metric)
        rise[node] = _when_it_hurts(value, z, profile, Kind.ERRORS) * (CIRCULAR if asked else 1.0)
    return _not_inherited(rise, callees, half)


def _when_it_hurts(value: float, z: FloatArray, profile: Profile | None, currency: Kind) -> float:
    """How much of a rise counts."""
    value = max(0.0, value)
    if profile is not None and value > 0:
        value *= 1.0 - profile.contrast * (1.0 - agreement(z, profile.pain))
    if profile is not None and profile.currency is not currency:
        value *= OTHER_CURRENCY
    return value


def _not_inherited(rise: Mapping[str, float], callees: Mapping[str, tuple[str, ...]], half: float) -> dict[str, float]:
    """Each rise, explained away by each callee that rose as well."""
    own = {}
    for node, value in rise.items():
        inherited = (relative({"_": rise.get(c, 0.0)}, half).get("_", 0.0) for c in callees.get(node, ()))
        own[node] = value * float(np.prod([1.0 - 0.8 * q for q in inherited]))
    return own


def _either(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Two independent signs of one thing."""
    return {n: 1.0 - (1.0 - a.get(n, 0.0)) * (1.0 - b.get(n, 0.0)) for n in sorted({*a, *b})}


def _waiting(
    panel: Panel, scored: Scored, callers: Mapping[str, tuple[str, ...]], measured: set[str]
) -> dict[str, float]:
    """Callee id -> the least rise of client-side latency over all its callers: a caller that does not wait exonerates it.

    Callees whose calls were `measured` one by one, by their spans, need no such guess."""
    waits = {node: max(0.0, value) for node, value in typical_of(panel, scored, Kind.CLIENT_LATENCY).items()}
    return {
        callee: min(waits[c] for c in known)
        for callee in sorted(set(callers) - measured)
        if (known := [c for c in callers[callee] if c in waits])
    }


def _agreed(waits: Mapping[str, float], callers: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Each times n / (n + 1) for n callers: one alone may as well wait for another of its callees."""
    return {callee: e * len(callers[callee]) / (len(callers[callee]) + 1) for callee, e in waits.items()}


def _strongest_abort(broken: list[Abort]) -> dict[str, float]:
    evidence: dict[str, float] = {}
    for abort in broken:
        evidence[abort.node] = max(evidence.get(abort.node, 0.0), abort.strength)
    return evidence


def _log_evidence(templates: list[TemplateShift]) -> dict[str, float]:
    evidence: dict[str, float] = {}
    for shift in templates:
        if shift.accuses:
            evidence[shift.node] = max(evidence.get(shift.node, 0.0), shift.strength)
    return evidence


def changes_before(seen: Observation, scope: Scope) -> list[Change]:
    """Changes of the hour before the symptom, oldest first."""
    return sorted(
        (c for c in seen.changes if c.node and timedelta(0) <= scope.at - c.at <= CHANGES_COUNT),
        key=lambda c: (c.at, c.node, c.kind, c.summary),
    )


def recency(change: Change, scope: Scope) -> float:
    """max(0.1, 1 / log10(seconds + 2)), at most 1: the decay that the owner's design gives to events."""
    return min(1.0, max(0.1, 1.0 / math.log10((scope.at - change.at).total_seconds() + 2.0)))


def _change_evidence(seen: Observation, scope: Scope) -> dict[str, float]:
    evidence: dict[str, float] = {}
    for change in changes_before(seen, scope):
        evidence[change.node] = max(evidence.get(change.node, 0.0), recency(change, scope))
    return evidence


def _suffering(channels: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Node id -> how far any of the channels accuses it: 1 less the product of (1 - strength)."""
    spared: dict[str, float] = {}
    for _, strengths in sorted(channels.items()):
        for node, strength in strengths.items():
            spared[node] = spared.get(node, 1.0) * (1.0 - min(strength, 1.0))
    return {node: 1.0 - rest for node, rest in spared.items()}
