"""The corridor: how one Task becomes one Report. Read this file first; everything else is a room off it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiops.domain import Catalog, Intent, Recording, Report, Task
from aiops.ports import ChangeSource, GraphStore, LogSource, MetricsSource, TraceSource
from aiops.rules import Rules
from aiops.stages.detect import detect
from aiops.stages.explain import explain
from aiops.stages.forecast import foresee, look_back
from aiops.stages.learn import dependencies, sightings
from aiops.stages.link import link
from aiops.stages.observe import look_up, observe
from aiops.stages.prescribe import prescribe
from aiops.stages.priors import strengths, with_reasons
from aiops.stages.rank import nothing_to_rank, rank
from aiops.stages.redact import redacted
from aiops.stages.scope import catalog_of, scope_of
from aiops.telemetry import stage


@dataclass(frozen=True, slots=True)
class Sources:
    """The doors that one diagnosis reads. None = not configured, which the report says as a gap."""

    metrics: MetricsSource
    logs: LogSource | None
    traces: TraceSource | None
    changes: ChangeSource | None
    graph: GraphStore


READING = 0.8  # of the deadline; the rest is for concluding
RANKED = (Intent.DIAGNOSE, Intent.REMEDIATE, Intent.REPORT)


def catalog(sources: Sources, rules: Rules, timeout: float) -> Catalog:
    """The names there are, for `interpret`."""
    return catalog_of(sources.metrics.catalog(timeout), sources.graph.nodes(), rules.entities)


def record(report_id: str, task: Task, sources: Sources, rules: Rules, deadline_s: float) -> Recording:
    """Task -> Scope -> Observation: all that is read from outside, and nothing else is read after it.

    What a source has not said in `READING` of `deadline_s` is a gap."""
    if task.intent is Intent.FORECAST:
        scope, observation = look_back(task, sources.metrics, rules.entities, deadline_s)
        return Recording(report_id, task, scope, observation, rules.hashes)
    scope = scope_of(task, sources.metrics.window(), sources.graph, rules.entities)
    if task.intent is Intent.QUERY:
        observation = look_up(scope, task, sources.metrics, rules.entities, deadline_s)
        return Recording(report_id, task, scope, observation, rules.hashes)
    observation = observe(
        scope,
        sources.metrics,
        sources.logs,
        sources.traces,
        sources.changes,
        sources.graph,
        task.inputs.alerts,
        rules.entities,
        rules.topology,
        deadline_s * READING,
        task.inputs.filters,
    )
    return Recording(report_id, task, scope, observation, rules.hashes)


@stage("remember")
def remember(recording: Recording, report: Report, graph: GraphStore, before: datetime) -> None:
    """What this diagnosis saw goes into the graph; what was last seen before `before` leaves it. Raises as the port."""
    graph.purge(before)
    try:
        graph.upsert(dependencies(recording.observation, recording.scope))
    finally:  # a graph elsewhere that refuses has kept the first for later, and is to keep the second too
        graph.note(sightings(report, recording.observation))


def conclude(
    recording: Recording, rules: Rules, versions: Mapping[str, str], progress: Callable[[int, int], None] | None = None
) -> Report:
    """Observation -> Findings -> CausalGraph -> RootCauses -> Report: pure, so that a replay gives the same bytes."""
    if recording.task.intent is Intent.FORECAST:
        return redacted(foresee(recording, versions, progress))
    scope, observation = recording.scope, recording.observation
    findings = with_reasons(detect(observation, scope, rules.ranking), recording.priors, scope.symptom)
    graph = link(findings, observation, scope, rules.ranking)
    learned = strengths(recording.priors, rules.ranking)
    causes = (
        rank(graph, findings, scope, rules.ranking, learned)
        if recording.task.intent in RANKED
        else nothing_to_rank(findings)
    )
    remediation = prescribe(causes, rules.runbooks, recording.experience, recording.task.inputs.alerts)
    return redacted(explain(recording, findings, graph, causes, remediation, versions))
