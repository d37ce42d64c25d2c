"""Forecasts for people: Task -> Scope and Observation (`look_back`), and their Recording -> Report (`foresee`).

`look_back` reads the history and nothing else does; `foresee` is pure, so a replay gives the same bytes. Each series is forecast by
the method that did best in a backtest on its own history (`choice`), with a card that says how far to trust it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aiops.domain import NS, Recording, Report, Symptom, Verdict, to_ns
from aiops.stages.forecast.choice import Asked, forecast
from aiops.stages.forecast.history import HORIZON, look_back
from aiops.stages.forecast.methods import METHODS
from aiops.stages.forecast.words import chart, summary
from aiops.telemetry import stage

__all__ = ["foresee", "look_back"]

WORK = 60_000.0  # milliseconds of work for one report, as the methods estimate themselves; shared by its series


@stage("forecast")
def foresee(
    recording: Recording, versions: Mapping[str, str], progress: Callable[[int, int], None] | None = None
) -> Report:
    """The forecasts of a recorded history. `progress(done, total)` is called as methods are tried."""
    panel, inputs = recording.observation.panel, recording.task.inputs
    horizon = inputs.horizon or HORIZON
    step = int(np.diff(panel.times).min()) // NS if len(panel.times) > 1 else round(horizon.total_seconds())
    series = len(panel.labels)
    asked = Asked(max(1, -(-round(horizon.total_seconds()) // step)), step, inputs.full_at, WORK / max(series, 1))
    times = tuple((panel.times // NS).tolist())
    total, done = series * len(METHODS), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    told = [
        forecast(labels, node, metric or inputs.query, times, values, asked, tick)
        for labels, node, metric, values in zip(panel.labels, panel.nodes, panel.metrics, panel.values, strict=True)
    ]
    at_s = to_ns(recording.scope.at) // NS
    gaps = recording.observation.gaps
    return Report(
        id=recording.id,
        verdict=Verdict.FOUND if any(one.trusted for one in told) else Verdict.INCONCLUSIVE,
        summary=summary(told, gaps),
        task=recording.task,
        symptom=Symptom(recording.scope.symptom_node, recording.scope.symptom_metric, recording.scope.at),
        root_causes=(),
        anomalies=(),
        events=(),
        gaps=gaps,
        remediation=None,
        charts=tuple(chart(one, times, values, at_s) for one, values in zip(told, panel.values, strict=True)),
        dropped=(),
        versions=dict(versions),
        hashes=dict(recording.hashes),
        forecasts=tuple(told),
    )
