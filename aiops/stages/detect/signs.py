"""What one observation shows, before anything is weighed: every step of `detect` that asks for no half-strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aiops.domain import FloatArray, Observation, Scope
from aiops.stages.detect.aborted import Abort, aborts
from aiops.stages.detect.budget import Account, Profile, accounts, symptom_profile
from aiops.stages.detect.failures import failed_spans, failing, silent
from aiops.stages.detect.logs import TemplateShift, template_shifts
from aiops.stages.detect.series import Scored, score_series
from aiops.stages.detect.spans import EdgeGap, SpanTable, call_gaps, edge_gaps, network_evidence, span_table
from aiops.stages.detect.window import incident_window, runs_on

# Of a level's word against a baseline of another time, as far as the symptom shows no contrast to go by.
OTHER_TIME = 0.3


@dataclass(frozen=True, slots=True)
class Signs:
    """`seen`: the observation with its incident rows marked. `unreached`: nodes that no recorded span of the incident passed.
    `network`: callee -> strength. `failures`: node -> (rise, row, (I,) scores). `failed`: node -> (strength, share of its spans
    before, after). `gone`: node -> silent samples. `trust`: how much a level counts against this baseline."""

    seen: Observation
    scored: Scored
    callees: Mapping[str, tuple[str, ...]]
    callers: Mapping[str, tuple[str, ...]]
    gaps: list[EdgeGap]
    network: Mapping[str, float]
    broken: list[Abort]
    templates: list[TemplateShift]
    unreached: set[str]
    profile: Profile | None
    books: list[Account]
    failures: Mapping[str, tuple[float, int, FloatArray]]
    failed: Mapping[str, tuple[float, float, float]]
    gone: Mapping[str, int]
    trust: float


def signs_of(observation: Observation, scope: Scope) -> Signs:
    """Reads the window's metrics, logs, spans and calls. O(S T log T + N log N) for S series of T samples and N spans."""
    seen = incident_window(observation, scope)
    panel = seen.panel
    scored = score_series(panel)
    callees, callers = _neighbours(seen)
    table = span_table(seen.spans)
    calls = call_gaps(seen.spans, table)
    profile = symptom_profile(panel, scope)
    continuous = runs_on(panel.times)
    return Signs(
        seen=seen,
        scored=scored,
        callees=callees,
        callers=callers,
        gaps=edge_gaps(calls),
        network=network_evidence(calls),
        broken=aborts(seen.spans, table),
        templates=template_shifts(seen.logs, seen.spans, table),
        unreached=_unreached(seen, table),
        profile=profile,
        books=accounts(panel, profile, callees),
        failures=failing(panel, scored),
        failed=failed_spans(seen.spans, table),
        gone=silent(panel) if continuous else {},
        trust=1.0 if continuous else _across_times(profile),
    )


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
