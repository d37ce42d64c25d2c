"""Metrics: how far each series left its own past, and in which direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray, Panel
from aiops.kernels.kinds import Kind, kind_of
from aiops.kernels.robust import location_scale, quantiles, saturate, standard_scores
from aiops.stages.detect.window import runs_on

RELATIVE_FLOOR = 0.05  # of |median|: a steadier series than 5 % is a matter of taste, not of trouble
FULL_SCALE_FLOOR = 0.005  # of a percentage's full scale: one failure in 200
PEER_FLOOR = 0.2  # of the same metric's typical scale over services: an idle column may not shout
CLIMBING = (Kind.LATENCY, Kind.CLIENT_LATENCY, Kind.ERRORS, Kind.AVAILABILITY)  # signs that callers inherit
PEERS = 4  # fewer services than that with the same metric are no crowd to compare with


@dataclass(frozen=True, slots=True)
class Scored:
    """The panel in units of its own past.

    z: (S, I) standard scores of the I incident rows; common: z minus the cross-service median of the same metric.
    typical: (S,) what most of the incident rows of common look like, which a single spike does not reach (`typical`): as
    much of it as is new against the time just before, where time runs on (`_anew`).
    usable: series that say something about exactly one node.
    """

    kinds: tuple[Kind, ...]
    location: FloatArray
    scale: FloatArray
    z: FloatArray
    common: FloatArray
    typical: FloatArray
    usable: BoolArray


def score_series(panel: Panel) -> Scored:
    """Robust scores of every series. Cost O(S T log T)."""
    kinds = tuple(kind_of(metric) for metric in panel.metrics)
    baseline, incident = panel.values[:, ~panel.incident], panel.values[:, panel.incident]
    location, scale = location_scale(baseline)
    scale = np.fmax(scale, floors(kinds, panel, location, scale))
    z = standard_scores(incident, location, scale)
    usable = _speaks_for_one_node(panel, kinds) & np.isfinite(location)
    shared = usable & np.array([kind not in CLIMBING for kind in kinds], dtype=bool)
    common = z - _crowd(panel.metrics, z, shared)
    moved = typical(common)
    if runs_on(panel.times):
        before = standard_scores(baseline[:, -incident.shape[1] :], location, scale)
        moved = _anew(moved, common, before - _crowd(panel.metrics, before, shared))
    return Scored(kinds, location, scale, z, common, moved, usable)


def _anew(moved: FloatArray, common: FloatArray, before: FloatArray) -> FloatArray:
    """(S,) as much of each move as is new against the time just before (S, B), as long as the incident: what has been so since
    an earlier trouble is not what began now."""
    if before.shape[1] == 0:
        return moved
    level = np.nan_to_num(quantiles(before, (0.5,))[0])
    new = typical(common - level[:, None])
    same_side = np.sign(new) == np.sign(moved)
    return np.asarray(np.where(same_side, np.sign(moved) * np.minimum(np.abs(moved), np.abs(new)), 0.0))


def typical(z: FloatArray, level: float = 0.6) -> FloatArray:
    """(S, I) -> (S,): the `level` quantile of z or of -z, whichever is larger, signed, and no further out than the second
    sample on that side: of three samples a quantile between the second and the third is a spike's share. 0 without rows."""
    if z.shape[1] == 0:
        return np.zeros(z.shape[0])
    up, down = _reached(z, level), _reached(-z, level)
    return np.asarray(np.where(up >= down, np.maximum(up, 0.0), -np.maximum(down, 0.0)))


def _reached(z: FloatArray, level: float) -> FloatArray:
    """(S,) the `level` quantile, which at least two samples reach where there are two."""
    at_level = quantiles(z, (level,))[0]
    return np.asarray(np.minimum(at_level, np.partition(z, -2, axis=1)[:, -2]) if z.shape[1] > 1 else at_level)


def typical_of(panel: Panel, scored: Scored, kind: Kind) -> dict[str, float]:
    """Node id -> signed typical score of its strongest series of a kind. Virtual nodes (`_entry`) are left out."""
    strongest: dict[str, float] = {}
    for row, node in enumerate(panel.nodes):
        if scored.usable[row] and scored.kinds[row] is kind and not node.startswith("_"):
            value = float(scored.typical[row])
            if abs(value) > abs(strongest.get(node, 0.0)):
                strongest[node] = value
    return strongest


def floors(kinds: tuple[Kind, ...], panel: Panel, location: FloatArray, scale: FloatArray) -> FloatArray:
    """(S,) smallest scale that makes sense for each series."""
    least = RELATIVE_FLOOR * np.abs(location)
    for row, kind in enumerate(kinds):
        if kind is Kind.AVAILABILITY:
            least[row] = FULL_SCALE_FLOOR * full_scale(panel.values[row])
    for rows in _by_metric(panel.metrics):
        known = scale[rows][np.isfinite(scale[rows]) & (scale[rows] > 0)]
        if len(rows) >= PEERS and len(known):
            least[rows] = np.fmax(least[rows], PEER_FLOOR * np.median(known))
    return least


def full_scale(values: FloatArray) -> float:
    """1 for an availability told as a share, 100 for one told in percent."""
    return 100.0 if np.nanmax(values, initial=0.0) > 1.5 else 1.0


def _crowd(metrics: tuple[str, ...], z: FloatArray, usable: BoolArray) -> FloatArray:
    """(S, I) the median over services of the same metric: what happens to all is caused by none of them. What callers inherit
    is left alone: from one service it reaches most of a small system."""
    crowd = np.zeros_like(z)
    for rows in _by_metric(metrics):
        peers = rows[usable[rows]]
        if len(peers) >= PEERS:
            crowd[rows] = np.median(z[peers], axis=0)
    return crowd


def _by_metric(metrics: tuple[str, ...]) -> list[IntArray]:
    groups: dict[str, list[int]] = {}
    for row, metric in enumerate(metrics):
        groups.setdefault(metric, []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _speaks_for_one_node(panel: Panel, kinds: tuple[Kind, ...]) -> BoolArray:
    """False for series without a node, of a host, or repeated exactly under several nodes (the host's, once per guest)."""
    usable = np.array(
        [bool(node) and kind is not Kind.HOST for node, kind in zip(panel.nodes, kinds, strict=True)], dtype=bool
    )
    seen: dict[tuple[str, bytes], list[int]] = {}
    for row, metric in enumerate(panel.metrics):
        values = panel.values[row]
        if usable[row] and np.nanmax(values, initial=-np.inf) > np.nanmin(values, initial=np.inf):
            seen.setdefault((metric, values.tobytes()), []).append(row)
    for rows in seen.values():
        if len({panel.nodes[row] for row in rows}) > 1:
            usable[rows] = False
    return usable


def relative(values: dict[str, float], half: float, at_most: float = 1.0) -> dict[str, float]:
    """Each v -> at_most x v^2 / (v^2 + half^2) x v / max v: half strength at `half`, and how it compares with the strongest.
    Zeros are left out."""
    top = max(values.values(), default=0.0)
    if top <= 0:
        return {}
    return {
        node: at_most * float(saturate(np.array([v]), half)[0]) * v / top for node, v in sorted(values.items()) if v > 0
    }
