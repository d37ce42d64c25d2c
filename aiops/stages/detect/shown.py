"""What left its past, as anomalies and events: what a report shows and `link` takes its onsets from."""

from __future__ import annotations

import math

import numpy as np

from aiops.domain import Anomaly, Direction, Event, EventKind, Observation, Panel, Scope, from_ns
from aiops.kernels.features import NAMES, features
from aiops.kernels.robust import first_run
from aiops.stages.detect.channels import changes_before, recency
from aiops.stages.detect.logs import TemplateShift
from aiops.stages.detect.series import Scored
from aiops.stages.detect.signs import Signs
from aiops.stages.detect.spans import EdgeGap
from aiops.stages.detect.words import gap_words, template_words

BAND_SIGMAS = 3.0  # anomaly score 1.0: three robust sigmas, persistently
PERSISTENT = 2  # samples outside the band in a row make an onset


def anomalies(panel: Panel, scored: Scored) -> tuple[Anomaly, ...]:
    """Series whose typical incident sample lies outside the band, sorted by node and metric."""
    incident_times = panel.times[panel.incident]
    metrics = panel.metrics
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
                metric=metrics[row],
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


def events(signs: Signs, scope: Scope) -> tuple[Event, ...]:
    """Log templates, slower ways, alerts and changes, each kind in its own order."""
    return (
        *_log_events(signs.seen, signs.templates),
        *_gap_events(signs.gaps),
        *_alert_events(signs.seen),
        *_change_events(signs.seen, scope),
    )


def _log_events(seen: Observation, templates: list[TemplateShift]) -> tuple[Event, ...]:
    return tuple(
        Event(
            kind=EventKind.LOG,
            node=shift.node,
            what=shift.what,
            at=from_ns(int(seen.logs.times[shift.row])),
            score=shift.strength,
            summary=template_words(shift),
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
            summary=gap_words(gap),
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
        Event(EventKind.CHANGE, change.node, change.kind, change.at, recency(change, scope), change.summary)
        for change in changes_before(seen, scope)
    )
