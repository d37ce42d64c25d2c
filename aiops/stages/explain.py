"""Stage 8: everything -> Report. Decides what is said; `render/` decides how it looks. Deterministic, no model, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from aiops.domain import (
    NS,
    Anomaly,
    BoolArray,
    CausalGraph,
    Chart,
    Event,
    Findings,
    FloatArray,
    Gap,
    Intent,
    Logs,
    Panel,
    Recording,
    Remediation,
    Report,
    RootCause,
    RootCauses,
    Spans,
    Symptom,
    Verdict,
    to_ns,
)
from aiops.stages.answer import answer
from aiops.stages.courses import asked_rows, bare
from aiops.stages.detect.window import incident_window
from aiops.stages.expected import expected
from aiops.stages.figures import Measured, asked_metrics
from aiops.telemetry import stage

SHOWN = 3  # root causes in a report
CHARTS_PER_NODE = 2
MOST_ANOMALIES = 40  # strongest first; a storm of thousands helps nobody, the count is said
MOST_EVENTS = 40
TELLING = 0.1  # share of the score from which a piece of evidence is worth the reader's first seconds
CHART_POINTS = 240  # about one per pixel column of a phone, so a report stays small


@stage("explain")
def explain(
    recording: Recording,
    findings: Findings,
    graph: CausalGraph,
    causes: RootCauses,
    remediation: Remediation | None,
    versions: Mapping[str, str],
) -> Report:
    """The report: three lines first, then what they rest on."""
    if recording.task.intent in (Intent.DETECT, Intent.QUERY):
        return _answered(recording, findings, causes.gaps, versions)
    scope = recording.scope
    shown = causes.candidates[:SHOWN]
    symptom = Symptom(scope.symptom_node, scope.symptom_metric, scope.at)
    gaps = (*recording.observation.gaps, *findings.gaps, *causes.gaps)
    return Report(
        id=recording.id,
        verdict=causes.verdict,
        summary=_summary(recording, causes, gaps),
        task=recording.task,
        symptom=symptom,
        root_causes=shown,
        anomalies=_strongest(findings.anomalies)[:MOST_ANOMALIES],
        events=_loudest(findings.events)[:MOST_EVENTS],
        gaps=gaps,
        remediation=remediation,
        charts=_charts(recording, findings, shown),
        dropped=graph.dropped,
        versions=dict(versions),
        hashes=dict(recording.hashes),
    )


def _answered(recording: Recording, findings: Findings, more: tuple[Gap, ...], versions: Mapping[str, str]) -> Report:
    """The report of a query or a check: what was asked, in figures."""
    scope = recording.scope
    gaps = (*recording.observation.gaps, *findings.gaps, *more)
    told = answer(recording, findings, gaps)
    nodes, metrics = set(recording.task.inputs.services), set(asked_metrics(recording.task))
    # What was asked about comes first; of the rest it is told what else was off.
    ranked = sorted(
        _strongest(findings.anomalies),
        key=lambda a: bool(nodes) and not (a.node in nodes and (not metrics or bare(a.metric) in metrics)),
    )
    return Report(
        id=recording.id,
        verdict=told.verdict,
        summary=told.summary,
        task=recording.task,
        symptom=Symptom(scope.symptom_node, scope.symptom_metric, scope.at),
        root_causes=(),
        anomalies=tuple(ranked[:MOST_ANOMALIES]),
        events=_loudest(findings.events)[:MOST_EVENTS],
        gaps=gaps,
        remediation=None,
        charts=tuple(_figure_chart(recording, one) for one in told.measured),
        dropped=(),
        versions=dict(versions),
        hashes=dict(recording.hashes),
        figures=told.figures,
    )


def _strongest(anomalies: Iterable[Anomaly]) -> tuple[Anomaly, ...]:
    return tuple(sorted(anomalies, key=lambda a: (-a.score, a.onset, a.node, a.metric)))


def _loudest(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda e: (-e.score, e.at, e.node, e.what, e.summary)))


# ---------------------------------------------------------------- the three lines


def _summary(recording: Recording, causes: RootCauses, gaps: tuple[Gap, ...]) -> tuple[str, str, str]:
    if causes.verdict is Verdict.INCONCLUSIVE or not causes.candidates:
        return _inconclusive(causes, gaps)
    first = causes.candidates[0]
    return (
        f"Cause: {first.node}{_fault(first)}, {first.score:.0%} likely, behind {_hurt(recording)}",
        f"Path: {_path(first)}",
        f"Rests on: {_rests_on(first)}{_blind(gaps)}",
    )


def _hurt(recording: Recording) -> str:
    scope = recording.scope
    what = " ".join(x for x in (called(scope.symptom), scope.symptom_metric) if x)
    return f"{what} since {_clock(scope.at, with_date=True)}"


def called(node: str) -> str:
    """A node in words. Virtual nodes are not services: `_entry` is what users feel, `_symptom` stands for no node at all."""
    return {"_entry": "the entry", "_symptom": "the whole system"}.get(node, node)


def _fault(cause: RootCause) -> str:
    kind = f"{cause.fault} fault" if cause.fault else ""
    inner = ", ".join(x for x in (kind, cause.metric) if x)
    return f" ({inner})" if inner else ""


def _path(cause: RootCause) -> str:
    path = cause.path
    onsets = [*path.onsets, *[None] * (len(path.nodes) - len(path.onsets))]
    steps = [
        f"{called(node)} {_clock(onset)}" if onset else called(node)
        for node, onset in zip(path.nodes, onsets, strict=False)
    ]
    if len(steps) < 2:
        return f"{steps[0] if steps else cause.node} (the symptom itself; nothing it depends on is worse)"
    return f"{' -> '.join(steps)} (probability {math.exp(-path.cost):.2f})"


def _rests_on(cause: RootCause) -> str:
    """The evidence that carries the score; what adds next to nothing is left to the list below."""
    total = sum(e.weight for e in cause.evidence)
    carrying = [e.summary for e in cause.evidence if e.weight >= TELLING * total]
    return "; ".join(carrying[:3]) or "its place in the graph alone"


def _blind(gaps: tuple[Gap, ...]) -> str:
    unseen = sorted({g.what for g in gaps})
    return f". Not seen: {', '.join(unseen[:3])}{' and more' if len(unseen) > 3 else ''}" if unseen else ""


def _inconclusive(causes: RootCauses, gaps: tuple[Gap, ...]) -> tuple[str, str, str]:
    nearest = ", ".join(f"{c.node} ({c.score:.0%})" for c in causes.candidates[:SHOWN])
    mends = list(dict.fromkeys(g.mend for g in gaps if g.mend))
    return (
        f"Inconclusive: {causes.reason}",
        f"Nearest candidates: {nearest}" if nearest else "No candidate: nothing left its band",
        f"Would help: {'; '.join(mends[:3])}"
        if mends
        else "Would help: a later look, when more of the incident is recorded",
    )


def _clock(moment: datetime, *, with_date: bool = False) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ" if with_date else "%H:%M:%SZ")


# ---------------------------------------------------------------- charts


def _charts(recording: Recording, findings: Findings, causes: tuple[RootCause, ...]) -> tuple[Chart, ...]:
    """The strongest series of each node on the first path and of the other candidates, in that order."""
    panel = recording.observation.panel
    path = causes[0].path.nodes if causes else ()
    nodes = list(dict.fromkeys([*path, *(c.node for c in causes)]))
    if not nodes:
        nodes = list(dict.fromkeys(a.node for a in _strongest(findings.anomalies)))[:SHOWN]
    by_node: dict[str, list[Anomaly]] = {}
    for anomaly in _strongest(findings.anomalies):
        by_node.setdefault(anomaly.node, []).append(anomaly)
    # The fault begins a little before it is noticed; what `detect` took for the incident is no baseline here either.
    quiet = replace(recording.observation, logs=Logs.empty(), spans=Spans.empty())
    incident = incident_window(quiet, recording.scope).panel.incident
    return tuple(
        _chart(panel, incident, anomaly, recording.scope.at)
        for node in nodes
        for anomaly in by_node.get(node, ())[:CHARTS_PER_NODE]
    )


def _chart(panel: Panel, incident: BoolArray, anomaly: Anomaly, at: datetime) -> Chart:
    marks = (("onset", to_ns(anomaly.onset) // NS), ("noticed", to_ns(at) // NS))
    values = panel.values[anomaly.series]
    return _drawn(panel, incident, (anomaly.node, anomaly.metric), values, anomaly.band, marks)


def _figure_chart(recording: Recording, one: Measured) -> Chart:
    """What was asked, from where the asked time begins."""
    figure, panel = one.figure, recording.observation.panel
    marks = [("asked from", to_ns(recording.scope.at) // NS)]
    if figure.abnormal and figure.since:
        marks.insert(0, ("onset", to_ns(figure.since) // NS))
    band = figure.band or (math.nan, math.nan)
    return _drawn(
        panel, asked_rows(panel, recording.task), (figure.node, figure.metric), one.course.values, band, tuple(marks)
    )


def _drawn(
    panel: Panel,
    incident: BoolArray,
    name: tuple[str, str],
    values: FloatArray,
    robust: tuple[float, float],
    marks: tuple[tuple[str, int], ...],
) -> Chart:
    """Incident rows and as many baseline rows before them as fit `CHART_POINTS`, with what the baseline made expect of them."""
    band = expected(panel.times, values, incident, robust)
    after = np.flatnonzero(panel.incident)
    after = after[:: max(1, math.ceil(len(after) / (CHART_POINTS // 2)))]
    before = np.flatnonzero(~panel.incident)[-(CHART_POINTS - len(after)) :]
    rows = np.concatenate([before, after])
    return Chart(
        title=" ".join(name),
        node=name[0],
        metric=name[1],
        times=tuple(int(t) for t in panel.times[rows] // NS),
        values=_column(values[rows]),
        lower=_column(band.lower[rows]),
        upper=_column(band.upper[rows]),
        marks=marks,
        caption=band.caption,
    )


def _column(values: FloatArray) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(v) else float(v) for v in values)
