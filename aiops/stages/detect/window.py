"""Which rows are to be explained: a fault begins before anybody notices it.

Sources flag rows from the moment of the symptom on. Where time runs on without a break, the incident starts a little earlier:
`PANEL_STEPS` samples for metrics and `EVENT_STEPS` for logs and spans, which reach back further than an averaged sample; when
the recording itself pauses shortly before, at the end of that pause. Where baseline and incident are of different times (another
month, or mixed) the flags of the source stand.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aiops.domain import NS, BoolArray, IntArray, Observation, Scope, to_ns

PANEL_STEPS = 2
EVENT_STEPS = 3
DEFAULT_STEP_NS = 60 * NS
BREAK = 5  # a pause of more than that many steps is no pause of a scrape: two recordings


def incident_window(observation: Observation, scope: Scope) -> Observation:
    """The same observation with `incident` flags that start where the fault may have begun."""
    at, panel = to_ns(scope.at), observation.panel
    step = step_of(panel.times)
    flags = panel.times >= at - PANEL_STEPS * step if runs_on(panel.times) and panel.times[0] < at else panel.incident
    logs, spans = observation.logs, observation.spans
    return dataclasses.replace(
        observation,
        panel=dataclasses.replace(panel, incident=flags),
        logs=dataclasses.replace(logs, incident=_moved(logs.times, logs.incident, at, step)),
        spans=dataclasses.replace(spans, incident=_moved(spans.times, spans.incident, at, step)),
    )


def runs_on(times: IntArray) -> bool:
    """Whether time goes on without a break: baseline and incident are of one recording."""
    return (
        bool(len(times))
        and int(np.diff(times, prepend=times[:1]).max()) <= BREAK * step_of(times)
        and bool((np.diff(times) > 0).all())
    )


def step_of(times: IntArray) -> int:
    """Median distance of samples in ns; a minute where there are too few."""
    return int(np.median(np.diff(times))) if len(times) > 2 else DEFAULT_STEP_NS


def _moved(times: IntArray, incident: BoolArray, at: int, step: int) -> BoolArray:
    """Flags that start where the fault may have begun, unless baseline rows come after incident rows: then only the source
    knows which is which."""
    if incident.any() and not incident.all() and times[~incident].max() > times[incident].min():
        return incident
    earlier = np.sort(times[times <= at])
    pauses = np.flatnonzero(np.diff(earlier) > EVENT_STEPS * step)
    block = earlier[pauses[-1] + 1] if len(pauses) else earlier[0] if len(earlier) else at
    near = at - BREAK * step <= block
    return np.asarray(times >= (block if near else at - EVENT_STEPS * step))
