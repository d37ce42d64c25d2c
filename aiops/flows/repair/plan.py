"""From a report to a plan: the exact words, what they are done to, what must hold before and after, and the hash of all that.

A plan is made twice: when somebody asks for it, and again, from what lies on the disk then, before it is run. Only where both are
one and the same is anything done; so an edited runbook, script, file of targets or report undoes every approval.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiops.domain import (
    Act,
    Anomaly,
    Check,
    Direction,
    Panel,
    Recording,
    RepairPlan,
    Report,
    RootCause,
    Runbook,
    Verdict,
    series_key,
)
from aiops.errors import NotFound, Refused
from aiops.ports import Executor, Sandbox
from aiops.schema import fill, wire
from aiops.stages.prescribe import common_labels, matches

RATE_OVER = "2m"  # of a counter that alerted by its rate
MODES = ("off", "suggest", "approve", "auto")
BY_ITSELF = ("approve", "auto")  # the modes in which a diagnosis makes the plan


@dataclass(frozen=True, slots=True)
class Workshop:
    """What repairs are made of and with, as it lies on the disk at one moment. targets_hash: of `rules/targets.yaml`."""

    runbooks: tuple[Runbook, ...]
    targets_hash: str
    executor: Executor
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class Made:
    """A plan, the acts that its words stand for, its runbook's mode, and what it was made of and is done with."""

    plan: RepairPlan
    act: Act
    undo: Act | None
    mode: str
    workshop: Workshop


def make(
    report: Report, recording: Recording | None, workshop: Workshop, runbook: str, given: Mapping[str, str]
) -> Made:
    """The plan of what a runbook would do about the report's first cause; "" = the runbook that the report proposes.

    Refused where the report found no cause, or nothing is to be done about it; NotFound for an unknown runbook; DataError for
    parameters that it doesn't take."""
    if report.verdict is not Verdict.FOUND or not report.root_causes:
        raise Refused(f"report {report.id} is inconclusive, and a guess is not repaired")
    cause, book = report.root_causes[0], _chosen(report, workshop, runbook)
    if book.mode == "off":
        raise Refused(f"runbook {book.name} is off")
    if not matches(book, cause, common_labels(report.task.inputs.alerts)):
        raise Refused(f"runbook {book.name} is not for {cause.fault or 'such'} faults at {cause.node}")
    values = fill.values(book, cause.node, given)
    act, undo = fill.filled(book.act, values), fill.filled(book.undo, values) if book.undo else None
    plan = RepairPlan(
        report_id=report.id,
        report_hash=hashlib.sha256(wire.encode(dataclasses.replace(report, run={}))).hexdigest(),
        runbook=book.name,
        runbook_hash=book.hash,
        targets_hash=workshop.targets_hash,
        title=book.title,
        owner=book.owner,
        fault=cause.fault,
        targets=(cause.node,),
        parameters=values,
        words=fill.words(act),
        script=not act.verb,
        verbs=act.verbs,
        undo=fill.words(undo) if undo else (),
        undo_words=" ".join(fill.words(undo)) if undo else book.undo_words,
        before=tuple(_filled(check, values) for check in book.before),
        effect=_filled(book.effect, values),
        alerted=_alerted(report, recording, cause) if book.mends else None,
        limits=book.limits,
        most_targets=book.most_targets,
        most_percent=book.most_percent,
        cool_down_s=book.cool_down_s,
        approvers=book.approvers,
        why=f"mends {cause.fault} faults; {cause.node} is the first root cause",
        evidence=tuple(one.summary for one in cause.evidence),
    )
    return Made(plan, act, undo, book.mode, workshop)


def digest(plan: RepairPlan) -> str:
    """SHA-256 of everything in it."""
    return hashlib.sha256(wire.encode(plan)).hexdigest()


def mode_of(runbook: str, of_house: str) -> str:
    """What both the runbook and the settings allow."""
    return MODES[min(MODES.index(runbook), MODES.index(of_house))]


def _chosen(report: Report, workshop: Workshop, name: str) -> Runbook:
    if not name and report.remediation is None:
        raise Refused(f"report {report.id} proposes no repair; name a runbook")
    wanted = name or (report.remediation.runbook if report.remediation else "")
    found = next((book for book in workshop.runbooks if book.name == wanted), None)
    if found is None:
        raise NotFound(
            f"no runbook {wanted!r}; there are {', '.join(book.name for book in workshop.runbooks) or 'none'}"
        )
    return found


def _filled(check: Check, values: Mapping[str, str]) -> Check:
    return dataclasses.replace(check, query=fill.text(check.query, values))


def _alerted(report: Report, recording: Recording | None, cause: RootCause) -> Check | None:
    """That the series which showed the trouble is within its band again: the symptom's own, else the cause's. None = none is known."""
    symptom = report.symptom
    wanted: tuple[Callable[[Anomaly], bool], ...] = (
        lambda one: one.node == symptom.service and one.metric == symptom.metric,
        lambda one: one.node == symptom.service and symptom.metric is None,
        lambda one: one.node == cause.node and one.metric == cause.metric,
    )
    ordered = sorted(report.anomalies, key=lambda one: (-one.score, one.node, one.metric, one.series))
    found = next((one for fits in wanted for one in ordered if fits(one)), None)
    query = _query(recording.observation.panel, found) if recording and found else ""
    if found is None or not query:
        return None
    lower, upper = found.band
    return Check(query, f"<= {upper!r}" if found.direction is Direction.UP else f">= {lower!r}")


def _query(panel: Panel, found: Anomaly) -> str:
    """PromQL for the series; "" where the panel doesn't hold it as the anomaly says."""
    if found.series >= len(panel.labels):
        return ""
    labels = panel.labels[found.series]
    name = labels.get("__name__", "")
    if name != found.metric or panel.nodes[found.series] != found.node:
        return ""
    if name.startswith("rate(") and name.endswith(")"):
        return f"rate({series_key({**labels, '__name__': name[5:-1]})}[{RATE_OVER}])"
    return series_key(labels)
