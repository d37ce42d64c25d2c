"""Own cpu, memory, disk: nobody inherits a busy processor.

Memory is a stock, not a flow. A restart, a cache that filled or a new version puts it on another level for good, and nobody is the
worse for it; what a busy processor does to requests it does at once. So memory that moved counts in full only as far as it
still *grows* while the incident lasts (a leak grows, a restart jumps) or something suffers with it: another channel accuses the
same node, its processor is busy as well, or the symptom hurts when the memory is high. Otherwise `STOCK_ALONE` of it counts,
too little to name a cause.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aiops.domain import FloatArray, Panel, Scope
from aiops.kernels.kinds import Kind
from aiops.stages.detect.budget import Profile, agreement
from aiops.stages.detect.series import Scored, typical_of
from aiops.stages.detect.window import runs_on

# Of memory's word where nothing suffers: a hint, too weak to name a cause even with a little noise beside it.
STOCK_ALONE = 0.2
FALL = 0.5  # of a fall: less work explains it


def resource(
    panel: Panel,
    scored: Scored,
    half: Mapping[str, float],
    suffering: Mapping[str, float],
    profile: Profile | None,
    scope: Scope,
) -> dict[str, float]:
    """Node id -> how many half-strengths its most moved resource moved.

    suffering: node id -> [0, 1], how far other channels accuse it. O(S I).
    """
    moved: dict[str, float] = {}
    for kind in (Kind.CPU, Kind.DISK):
        for node, value in _half_strengths(panel, scored, kind, half).items():
            moved[node] = max(moved.get(node, 0.0), value)
    trouble = {
        node: _any(suffering.get(node, 0.0), _strength(moved.get(node, 0.0)), sign)
        for node, sign in _own_signs(panel, scored, profile, scope).items()
    }
    for node, value in _half_strengths(panel, scored, Kind.MEMORY, half).items():
        counts = STOCK_ALONE + (1.0 - STOCK_ALONE) * trouble.get(node, 0.0)
        moved[node] = max(moved.get(node, 0.0), _value(counts * _strength(value)))
    return moved


def _half_strengths(panel: Panel, scored: Scored, kind: Kind, half: Mapping[str, float]) -> dict[str, float]:
    return {
        node: (value if value > 0 else -FALL * value) / half[kind.value]
        for node, value in typical_of(panel, scored, kind).items()
    }


def _own_signs(panel: Panel, scored: Scored, profile: Profile | None, scope: Scope) -> dict[str, float]:
    """Node id -> [0, 1]: how far its memory grows still, or the symptom hurts when it is far off. 1 where the symptom is this
    memory: somebody asked for it."""
    signs: dict[str, float] = {}
    for row, (node, metric) in enumerate(zip(panel.nodes, panel.metrics, strict=True)):
        if not scored.usable[row] or scored.kinds[row] is not Kind.MEMORY:
            continue
        side = 1.0 if scored.typical[row] >= 0 else -1.0
        sign = growth(side * _path(panel, scored, row))
        if profile is not None:
            hurts = profile.contrast * profile.known * agreement(side * scored.z[row], profile.pain)
            sign = _any(sign, hurts)
        if (node, metric) == (scope.symptom_node, scope.symptom_metric):
            sign = 1.0
        signs[node] = max(signs.get(node, 0.0), sign)
    return signs


def _path(panel: Panel, scored: Scored, row: int) -> FloatArray:
    """The level from which the incident started, and its samples; gaps left out."""
    now, before = panel.values[row, panel.incident], panel.values[row, ~panel.incident]
    near = before[-len(now) :] if runs_on(panel.times) and len(now) else before[:0]
    near = near[np.isfinite(near)]
    level = float(np.median(near)) if len(near) else float(scored.location[row])
    return np.concatenate([[level], now[np.isfinite(now)]])


def growth(path: FloatArray) -> float:
    """1 - the largest step up / the whole rise: 0 of a jump and of what does not rise, towards 1 of a steady climb."""
    rise = float(path.max() - path[0])
    return max(0.0, 1.0 - float(np.diff(path).max()) / rise) if rise > 0 else 0.0


def _any(*signs: float) -> float:
    """Independent signs of one thing."""
    return 1.0 - float(np.prod([1.0 - min(max(s, 0.0), 1.0) for s in signs]))


def _strength(value: float) -> float:
    """v^2 / (v^2 + 1), of half-strengths; 0 of what went the other way."""
    return value * value / (value * value + 1.0) if value > 0 else 0.0


def _value(strength: float) -> float:
    """The half-strengths that give this strength (< 1)."""
    return float(np.sqrt(strength / (1.0 - strength)))
