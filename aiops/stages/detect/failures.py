"""Failures told as such: error and availability series, spans that failed, and nodes that went silent.

A caller fails when its callee does, so a failure counts where it starts: in the node whose callees do not fail, in the span whose
children do not fail. A node that stops telling anything while others go on has no failures to count and is the surest of all.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from aiops.domain import BoolArray, FloatArray, Panel, Spans
from aiops.kernels.kinds import Kind
from aiops.stages.detect.presence import g_statistic, weigh_up, witness_parts
from aiops.stages.detect.series import Scored
from aiops.stages.detect.spans import SpanTable, told_apart

ALIVE = 0.9  # share of past samples in which a node told something: less is no habit to break
SILENCE = 2  # samples
SIGNIFICANT = 10.8  # chi-squared with one degree of freedom at 0.001


def failing(panel: Panel, scored: Scored) -> dict[str, tuple[float, int, FloatArray]]:
    """Node id -> (rise of its failures in robust sigmas, row, (I,) scores turned so that up is worse) of its worst series."""
    worst: dict[str, tuple[float, int, FloatArray]] = {}
    for row, node in enumerate(panel.nodes):
        kind = scored.kinds[row]
        if not scored.usable[row] or node.startswith("_") or kind not in (Kind.ERRORS, Kind.AVAILABILITY):
            continue
        sign = -1.0 if kind is Kind.AVAILABILITY else 1.0
        rise = sign * float(scored.typical[row])
        if rise > 0 and (node not in worst or rise > worst[node][0]):
            worst[node] = rise, row, sign * scored.z[row]
    return worst


def failed_spans(spans: Spans, table: SpanTable) -> dict[str, tuple[float, float, float]]:
    """Node id -> (strength, share before, share after) of its spans in which a failure starts, where that share rose beyond
    chance, a trace being one witness. strength = sqrt(G) x change of share. O(N)."""
    if not spans.errors.any():
        return {}
    inherited = np.zeros(len(spans), bool)
    child = np.flatnonzero((table.parent >= 0) & spans.errors)
    inherited[table.parent[child]] = True
    starts, late, nodes = (spans.errors & ~inherited).tolist(), told_apart(spans).tolist(), table.node.tolist()
    parts = witness_parts(list(zip(nodes, spans.trace_ids.tolist(), late, strict=True)))
    witnesses = weigh_up(zip(nodes, late, parts, strict=True))
    failed = weigh_up(zip(zip(nodes, starts, strict=True), late, parts, strict=True))
    found = {}
    for code, node in enumerate(table.nodes):
        n_before, n_after = witnesses[code]
        k_before, k_after = failed.get((code, True), (0.0, 0.0))
        if not node or not n_before or not n_after or k_after * n_before <= k_before * n_after:
            continue
        g, before, after = g_statistic(k_before, n_before, k_after, n_after), k_before / n_before, k_after / n_after
        if g >= SIGNIFICANT:
            found[node] = sqrt(g) * (after - before), before, after
    return found


def silent(panel: Panel) -> dict[str, int]:
    """Node id -> how many samples the incident's last silence lasts, at least `SILENCE`, of nodes that told something in nearly
    every sample before. Only samples count that at least half of such nodes filled: the others are not scraped yet."""
    told: dict[str, BoolArray] = {}
    for row, node in enumerate(panel.nodes):
        if node and not node.startswith("_"):
            told[node] = told.get(node, np.zeros(len(panel.times), bool)) | np.isfinite(panel.values[row])
    past, now = ~panel.incident, panel.incident
    alive = [node for node, said in sorted(told.items()) if past.any() and said[past].mean() >= ALIVE]
    if not alive or not now.any():
        return {}
    scraped = np.mean([told[node][now] for node in alive], axis=0) >= 0.5
    lasts = {node: _trailing(~told[node][now][scraped]) for node in alive}
    return {node: samples for node, samples in lasts.items() if samples >= SILENCE}


def _trailing(flags: BoolArray) -> int:
    """How many True stand at the end."""
    return len(flags) if flags.all() else int(np.argmin(flags[::-1]))
