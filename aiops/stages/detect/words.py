"""Why each channel accuses a node, in words with the figures behind them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aiops.domain import Panel, Scope
from aiops.kernels.kinds import Kind
from aiops.stages.detect.aborted import Abort
from aiops.stages.detect.budget import Account
from aiops.stages.detect.channels import changes_before
from aiops.stages.detect.logs import TemplateShift
from aiops.stages.detect.series import Scored, typical_of
from aiops.stages.detect.signs import Signs
from aiops.stages.detect.spans import EdgeGap


def reasons_of(
    signs: Signs,
    scope: Scope,
    half: Mapping[str, float],
    channels: Mapping[str, Mapping[str, float]],
    moved: Mapping[str, float],
) -> dict[str, dict[str, str]]:
    """Channel -> node id -> reason. `channels` and `moved` as `channels_of` gives them."""
    seen, panel, scored = signs.seen, signs.seen.panel, signs.scored
    return {
        "resource": _resource_reasons(panel, scored, half, moved),
        "latency": _metric_reasons(panel, scored, (Kind.LATENCY,), half),
        "budget": {a.node: _budget_reason(a) for a in signs.books if a.evidence > 0},
        "network": _network_reasons(signs.gaps),
        "waiting": {n: f"its callers wait longer for it: {', '.join(signs.callers[n])}" for n in channels["waiting"]},
        "aborted": _abort_reasons(signs.broken),
        "logs": _log_reasons(signs.templates),
        "errors": {
            **{n: _level_words(panel, scored, row) for n, (_, row, _) in signs.failures.items()},
            **{
                n: f"failures start in it: {before:.1%} -> {after:.1%} of its spans"
                for n, (_, before, after) in signs.failed.items()
            },
        },
        "silence": {
            n: f"nothing heard of it in the last {samples} samples, while others tell"
            for n, samples in signs.gone.items()
        },
        "change": {c.node: f"{c.kind}: {c.summary} at {c.at:%H:%M:%S}Z" for c in changes_before(seen, scope)},
        "alert": {
            n: f"alert {a.name or a.fingerprint}" for a, n in zip(seen.alerts, seen.alert_nodes, strict=False) if n
        },
    }


def _metric_reasons(panel: Panel, scored: Scored, kinds: tuple[Kind, ...], half: Mapping[str, float]) -> dict[str, str]:
    """Node id -> its most moved series of these kinds, in half-strengths of each kind."""
    best: dict[str, tuple[float, int]] = {}
    for row, node in enumerate(panel.nodes):
        kind = scored.kinds[row]
        if scored.usable[row] and kind in kinds:
            share = abs(float(scored.typical[row])) / half[kind.value]
            best[node] = max(best.get(node, (0.0, row)), (share, row))
    return {node: _level_words(panel, scored, row) for node, (_, row) in sorted(best.items())}


def _resource_reasons(
    panel: Panel, scored: Scored, half: Mapping[str, float], counted: Mapping[str, float]
) -> dict[str, str]:
    """As `_metric_reasons`; of memory that nothing suffers from, says so."""
    said = _metric_reasons(panel, scored, (Kind.CPU, Kind.MEMORY, Kind.DISK), half)
    for node, value in typical_of(panel, scored, Kind.MEMORY).items():
        if value / half[Kind.MEMORY.value] > 1.0 > counted.get(node, 0.0):
            said[node] += "; memory on another level, from which nothing suffers, says little"
    return said


def _level_words(panel: Panel, scored: Scored, row: int) -> str:
    now = panel.values[row, panel.incident]
    now = now[np.isfinite(now)]
    level = float(np.median(now)) if len(now) else float("nan")
    return (
        f"{panel.labels[row].get('__name__', '')} {scored.location[row]:.4g} -> {level:.4g}, "
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
    return {callee: gap_words(gap) for callee, gap in sorted(widest.items())}


def gap_words(gap: EdgeGap) -> str:
    """An edge's time on the way, before and after."""
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
            reasons.setdefault(shift.node, template_words(shift))
    return reasons


def template_words(shift: TemplateShift) -> str:
    """A template's share of its operation's spans, before and after."""
    return f"{shift.what} in {shift.operation}: {shift.before:.0%} -> {shift.after:.0%} of its spans write {shift.template!r}"
