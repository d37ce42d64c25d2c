"""Stage 4: Observation -> Findings. What left its past, and what that says about each node, channel by channel.

A *channel* is one way for a node to be guilty, with a strength in [0, 1] per node; `rank` weighs and adds them:

- `resource`  its own cpu, memory, disk moved (internal sign: nobody inherits it)
- `latency`   its own server latency rose, and no callee's did
- `budget`    the symptom's lost time or failed requests are this node's own (`budget`)
- `network`   calls to it take longer than it does (`spans`)
- `waiting`   all who call it wait longer, by their client-side metrics
- `aborted`   requests break off in it, or right after calling it (`aborted`)
- `errors`    its failures rose, or spans fail in it, and no callee's do (`failures`)
- `silence`   it stopped telling anything while others go on (`failures`)
- `change`    somebody changed it shortly before
- `alert`     it alerts by itself, beside the symptom
- `logs`      its operations write new errors or stopped writing what they always wrote (`logs`)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from aiops.domain import (
    Anomaly,
    Change,
    Direction,
    Event,
    EventKind,
    Findings,
    FloatArray,
    Observation,
    Panel,
    Scope,
    from_ns,
)
from aiops.kernels.features import NAMES, features
from aiops.kernels.kinds import Kind
from aiops.kernels.robust import first_run
from aiops.stages.detect.aborted import Abort, aborts
from aiops.stages.detect.budget import Account, Profile, accounts, agreement, symptom_profile
from aiops.stages.detect.failures import failed_spans, failing, silent
from aiops.stages.detect.logs import TemplateShift, template_shifts
from aiops.stages.detect.resource import resource
from aiops.stages.detect.series import Scored, relative, score_series, typical_of
from aiops.stages.detect.spans import EdgeGap, SpanTable, call_gaps, edge_gaps, network_evidence, span_table
from aiops.stages.detect.window import incident_window, runs_on

BAND_SIGMAS = 3.0  # anomaly score 1.0: three robust sigmas, persistently
PERSISTENT = 2  # samples outside the band in a row make an onset
OTHER_TIME = (
    0.3  # of a level's word against a baseline of another time, as far as the symptom shows no contrast to go by
)
CHANGES_COUNT = timedelta(hours=1)
CIRCULAR = 0.3  # of the budget's word on the symptom's own node: that it hurts there is the question, not the answer
OTHER_CURRENCY = 0.3  # of slowness, where the symptom is failures: a slow call is not yet a failed one
EXTERNAL_HERE = 0.3  # of a metric's word for a node that no recorded call of the incident passed through


def detect(observation: Observation, scope: Scope, ranking: Mapping[str, Any]) -> Findings:
    """Findings of one observation; `ranking` is rules/ranking.yaml, whose `half` gives each channel's half-strength."""
    seen = incident_window(observation, scope)
    scored = score_series(seen.panel)
    half = {name: float(value) for name, value in ranking["half"].items()}
    callees, callers = _neighbours(seen)
    table = span_table(seen.spans)
    calls = call_gaps(seen.spans, table)
    gaps = edge_gaps(calls)
    broken = aborts(seen.spans, table)
    templates = template_shifts(seen.logs, seen.spans, table)
    unreached = _unreached(seen, table)
    profile = symptom_profile(seen.panel, scope)
    books = accounts(seen.panel, profile, callees)
    failures, broke = failing(seen.panel, scored), failed_spans(seen.spans, table)
    gone = silent(seen.panel) if runs_on(seen.panel.times) else {}
    trust = 1.0 if runs_on(seen.panel.times) else _across_times(profile)
    channels = {
        "latency": relative(
            _damped(_latency(seen.panel, scored, callees, profile, half["latency"]), unreached), half["latency"], trust
        ),
        "budget": {
            a.node: a.evidence * (CIRCULAR if a.node == scope.symptom_node else 1.0) for a in books if a.evidence > 0
        },
        "network": network_evidence(calls),
        "waiting": _agreed(
            relative(_waiting(seen.panel, scored, callers, {gap.callee for gap in gaps}), half["waiting"], trust),
            callers,
        ),
        "aborted": relative(_strongest_abort(broken), half["aborted"]),
        "logs": relative(_log_evidence(templates), half["logs"]),
        "errors": _either(
            relative(
                _errors(seen.panel, failures, callees, profile, half["errors"], scope, books), half["errors"], trust
            ),
            relative({n: v for n, (v, _, _) in broke.items()}, half["failed_spans"]),
        ),
        "silence": {n: samples / (samples + 1.0) for n, samples in gone.items() if n != scope.symptom_node},
        "alert": {n: 1.0 for n in seen.alert_nodes if n and n != scope.symptom_node},
    }
    moved = resource(seen.panel, scored, half, _suffering(channels), profile, scope)
    channels["resource"] = relative(_damped(moved, unreached), 1.0, trust)
    channels["change"] = _change_evidence(seen, scope)
    anomalies = _anomalies(seen.panel, scored)
    events = (
        *_log_events(seen, templates),
        *_gap_events(gaps),
        *_alert_events(seen),
        *_change_events(seen, scope),
    )
    reasons = {
        "resource": _resource_reasons(seen.panel, scored, half, moved),
        "latency": _metric_reasons(seen.panel, scored, (Kind.LATENCY,), half),
        "budget": {a.node: _budget_reason(a) for a in books if a.evidence > 0},
        "network": _network_reasons(gaps),
        "waiting": {n: f"its callers wait longer for it: {', '.join(callers[n])}" for n in channels["waiting"]},
        "aborted": _abort_reasons(broken),
        "logs": _log_reasons(templates),
        "errors": {
            **{n: _moved(seen.panel, scored, row) for n, (_, row, _) in failures.items()},
            **{
                n: f"failures start in it: {before:.1%} -> {after:.1%} of its spans"
                for n, (_, before, after) in broke.items()
            },
        },
        "silence": {
            n: f"nothing heard of it in the last {samples} samples, while others tell" for n, samples in gone.items()
        },
        "change": {c.node: f"{c.kind}: {c.summary} at {c.at:%H:%M:%S}Z" for c in _changes_before(seen, scope)},
        "alert": {
            n: f"alert {a.name or a.fingerprint}" for a, n in zip(seen.alerts, seen.alert_nodes, strict=False) if n
        },
    }
    return Findings(anomalies, events, channels, reasons)


# ---------------------------------------------------------------- channels


def _across_times(profile: Profile | None) -> float:
    """Of a level's word against a baseline of another time: as far as the symptom says when it hurts."""
    if profile is None:
        return OTHER_TIME
    return (OTHER_TIME + (1.0 - OTHER_TIME) * profile.contrast) * profile.known


def _neighbours(seen: Observation) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    down: dict[str, set[str]] = {}
    up: dict[str, set[str]] = {}
    for call in seen.calls:
        if call.caller != call.callee:
            down.setdefault(call.caller, set()).add(call.callee)
            up.setdefault(call.callee, set()).add(call.caller)
    return {n: tuple(sorted(c)) for n, c in down.items()}, {n: tuple(sorted(c)) for n, c in up.items()}


def _unreached(seen: Observation, table: SpanTable) -> set[str]:
    """Nodes without a span in the incident, where spans are recorded: the symptom's requests did not pass them."""
    if not len(seen.spans):
        return set()
    reached = {table.nodes[k] for k in np.unique(table.node[seen.spans.incident])}
    return set(seen.panel.nodes) - reached if reached else set()


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
    rise = {}
    for node, (value, row, z) in sorted(failures.items()):
        if node in counted:
            continue
        asked = node == scope.symptom_node and panel.metrics[row] == scope.symptom_metric
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


def _changes_before(seen: Observation, scope: Scope) -> list[Change]:
    """Changes of the hour before the symptom, oldest first."""
    return sorted(
        (c for c in seen.changes if c.node and timedelta(0) <= scope.at - c.at <= CHANGES_COUNT),
        key=lambda c: (c.at, c.node, c.kind, c.summary),
    )


def _recency(change: Change, scope: Scope) -> float:
    """max(0.1, 1 / log10(seconds + 2)), at most 1: the decay that the owner's design gives to events."""
    return min(1.0, max(0.1, 1.0 / math.log10((scope.at - change.at).total_seconds() + 2.0)))


def _change_evidence(seen: Observation, scope: Scope) -> dict[str, float]:
    evidence: dict[str, float] = {}
    for change in _changes_before(seen, scope):
        evidence[change.node] = max(evidence.get(change.node, 0.0), _recency(change, scope))
    return evidence


def _suffering(channels: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Node id -> how far any of the channels accuses it: 1 less the product of (1 - strength)."""
    spared: dict[str, float] = {}
    for _, strengths in sorted(channels.items()):
        for node, strength in strengths.items():
            spared[node] = spared.get(node, 1.0) * (1.0 - min(strength, 1.0))
    return {node: 1.0 - rest for node, rest in spared.items()}


# ---------------------------------------------------------------- reasons in words


def _metric_reasons(panel: Panel, scored: Scored, kinds: tuple[Kind, ...], half: Mapping[str, float]) -> dict[str, str]:
    """Node id -> its most moved series of these kinds, in half-strengths of each kind."""
    best: dict[str, tuple[float, int]] = {}
    for row, node in enumerate(panel.nodes):
        kind = scored.kinds[row]
        if scored.usable[row] and kind in kinds:
            share = abs(float(scored.typical[row])) / half[kind.value]
            best[node] = max(best.get(node, (0.0, row)), (share, row))
    return {node: _moved(panel, scored, row) for node, (_, row) in sorted(best.items())}


def _resource_reasons(
    panel: Panel, scored: Scored, half: Mapping[str, float], counted: Mapping[str, float]
) -> dict[str, str]:
    """As `_metric_reasons`; of memory that nothing suffers from, says so."""
    said = _metric_reasons(panel, scored, (Kind.CPU, Kind.MEMORY, Kind.DISK), half)
    for node, value in typical_of(panel, scored, Kind.MEMORY).items():
        if value / half[Kind.MEMORY.value] > 1.0 > counted.get(node, 0.0):
            said[node] += "; memory on another level, from which nothing suffers, says little"
    return said


def _moved(panel: Panel, scored: Scored, row: int) -> str:
    now = panel.values[row, panel.incident]
    now = now[np.isfinite(now)]
    level = float(np.median(now)) if len(now) else float("nan")
    return (
        f"{panel.metrics[row]} {scored.location[row]:.4g} -> {level:.4g}, "
        f"{abs(scored.typical[row]):.1f} robust sigmas {'up' if scored.typical[row] > 0 else 'down'} for most of the incident"
    )


def _budget_reason(account: Account) -> str:
    what = "busy seconds" if account.unit == "s" else account.unit
    return (
        f"{account.own:.1f} of {account.excess:.1f} excess {what} per sample are its own, not its callees'; "
        f"r2 with the symptom {account.agreement:.2f}"
    )


def _network_reasons(gaps: list[EdgeGap]) -> dict[str, str]:
    widest: dict[str, EdgeGap] = {}
    for gap in gaps:
        if gap.callee not in widest or (gap.shift, gap.caller) > (widest[gap.callee].shift, widest[gap.callee].caller):
            widest[gap.callee] = gap
    return {callee: _gap_words(gap) for callee, gap in sorted(widest.items())}


def _gap_words(gap: EdgeGap) -> str:
    return (
        f"calls from {gap.caller} spend {gap.after_ns / 1e6:.0f} ms outside {gap.callee} "
        f"(before: {gap.before_ns / 1e6:.0f} ms), upper quartile of {gap.n}"
    )


def _abort_reasons(broken: list[Abort]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for abort in broken:
        where = f"after calling {abort.last_call}" if abort.last_call else "before any call"
        words = f"{abort.caller} {abort.operation} ends {where}: {abort.before:.0%} -> {abort.after:.0%} of its spans"
        reasons.setdefault(abort.node, words)
    return reasons


def _log_reasons(templates: list[TemplateShift]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for shift in templates:
        if shift.accuses:
            reasons.setdefault(shift.node, _template_words(shift))
    return reasons


def _template_words(shift: TemplateShift) -> str:
    return f"{shift.what} in {shift.operation}: {shift.before:.0%} -> {shift.after:.0%} of its spans write {shift.template!r}"


# ---------------------------------------------------------------- what is shown


def _anomalies(panel: Panel, scored: Scored) -> tuple[Anomaly, ...]:
    """Series whose typical incident sample lies outside the band, sorted by node and metric."""
    incident_times = panel.times[panel.incident]
    described = features(panel.values[:, panel.incident])
    side = np.sign(scored.typical)[:, None]
    onset = first_run(scored.common * side > BAND_SIGMAS, PERSISTENT).astype(np.int64)
    found = []
    for row in np.flatnonzero(scored.usable & (np.abs(scored.typical) >= BAND_SIGMAS) & (onset >= 0)):
        lower = float(scored.location[row] - BAND_SIGMAS * scored.scale[row])
        upper = float(scored.location[row] + BAND_SIGMAS * scored.scale[row])
        at = int(incident_times[onset[row]])
        found.append(
            Anomaly(
                node=panel.nodes[row],
                metric=panel.metrics[row],
                onset=from_ns(at),
                direction=Direction.UP if scored.typical[row] > 0 else Direction.DOWN,
                score=float(abs(scored.typical[row]) / BAND_SIGMAS),
                series=int(row),
                band=(lower, upper),
                value=float(panel.values[row, panel.incident][onset[row]]),
                features={n: v for n, v in zip(NAMES, described[row].tolist(), strict=True) if math.isfinite(v)},
            )
        )
    return tuple(sorted(found, key=lambda a: (a.node, a.metric, a.series)))


def _log_events(seen: Observation, templates: list[TemplateShift]) -> tuple[Event, ...]:
    return tuple(
        Event(
            kind=EventKind.LOG,
            node=shift.node,
            what=shift.what,
            at=from_ns(int(seen.logs.times[shift.row])),
            score=shift.strength,
            summary=_template_words(shift),
            example=str(seen.logs.messages[shift.row]),
            template=shift.template,
        )
        for shift in templates
    )


def _gap_events(gaps: list[EdgeGap]) -> tuple[Event, ...]:
    """Edges whose network time at least doubled, beyond chance."""
    return tuple(
        Event(
            kind=EventKind.SPAN,
            node=gap.callee,
            what="edge_gap",
            at=from_ns(gap.onset_ns),
            score=gap.shift,
            summary=_gap_words(gap),
            peer=gap.caller,
        )
        for gap in gaps
        if gap.shift > np.log(2.0) and gap.z > BAND_SIGMAS
    )


def _alert_events(seen: Observation) -> tuple[Event, ...]:
    return tuple(
        Event(EventKind.ALERT, node, alert.name, alert.starts_at, 1.0, alert.annotations.get("summary", alert.name))
        for alert, node in sorted(
            zip(seen.alerts, seen.alert_nodes, strict=False), key=lambda pair: (pair[0].starts_at, pair[0].fingerprint)
        )
    )


def _change_events(seen: Observation, scope: Scope) -> tuple[Event, ...]:
    return tuple(
        Event(EventKind.CHANGE, change.node, change.kind, change.at, _recency(change, scope), change.summary)
        for change in _changes_before(seen, scope)
    )
