"""Stage 7: RootCauses -> Remediation. Matches runbooks; proposes, never runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiops.domain import (
    Act,
    Alert,
    CausalPath,
    Check,
    Example,
    Experience,
    Labels,
    Remediation,
    RootCause,
    RootCauses,
    Runbook,
    Verdict,
)
from aiops.errors import DataError
from aiops.schema import fill
from aiops.telemetry import stage


@stage("prescribe")
def prescribe(
    causes: RootCauses,
    runbooks: tuple[Runbook, ...],
    experience: Iterable[Experience] = (),
    alerts: Iterable[Alert] = (),
) -> Remediation | None:
    """The runbook for the first root cause that has helped most often, else that says most about when it fits; among equals the
    first by name.

    None when the verdict is inconclusive: a repair of a guess is not offered."""
    if causes.verdict is not Verdict.FOUND or not causes.candidates:
        return None
    cause, labels = causes.candidates[0], common_labels(alerts)
    known = {one.runbook: one for one in experience if one.fault == cause.fault}
    ordered = sorted(runbooks, key=lambda r: (-_trust(known.get(r.name)), -_narrowness(r), r.name))
    fitting = (propose(r, cause, labels, known.get(r.name)) for r in ordered if r.mode != "off")
    return next((proposal for proposal in fitting if proposal is not None), None)


def common_labels(alerts: Iterable[Alert]) -> Labels:
    """The labels in which all alerts agree."""
    first, *others = [alert.labels for alert in alerts] or [{}]
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def _trust(known: Experience | None) -> float:
    """The share of tries that worked, as if one more had and one had not (Laplace's rule): a half where there was none."""
    return (known.worked + 1) / (known.tried + 2) if known else 0.5


def _narrowness(runbook: Runbook) -> int:
    """How many things it asks for beyond the kind of fault."""
    return bool(runbook.node) + bool(runbook.metric) + len(runbook.labels)


def matches(runbook: Runbook, cause: RootCause, labels: Labels | None = None) -> bool:
    """Whether a runbook is for this cause. `labels` of the alert; a label that is absent is empty."""
    known = labels or {}
    return (
        cause.fault in runbook.faults
        and fill.fits(runbook.node, cause.node)
        and fill.fits(runbook.metric, cause.metric)
        and all(fill.fits(pattern, known.get(name, "")) for name, pattern in runbook.labels.items())
    )


def propose(
    runbook: Runbook, cause: RootCause, labels: Labels | None = None, known: Experience | None = None
) -> Remediation | None:
    """What the runbook would do about the cause; None when it is not for it, or the node is no value for its parameter.

    A value that a person must give stands as `<name>`. known: what its earlier runs have led to."""
    if not matches(runbook, cause, labels):
        return None
    values: dict[str, str] = {}
    try:
        for one in runbook.parameters:
            by_itself = one.source == "node" or one.default
            text = cause.node if one.source == "node" else one.default
            values[one.name] = fill.value(one, text) if by_itself else f"<{one.name}>"
        act = fill.filled(runbook.act, values)
    except DataError:  # the value is none of this runbook's, and another may fit
        return None
    return Remediation(
        runbook=runbook.name,
        title=runbook.title,
        target=cause.node,
        argv=fill.words(act),
        parameters=values,
        why=f"mends {cause.fault} faults; {cause.node} is the first root cause",
        check=_said(runbook.effect, values),
        undo=_undo(runbook, values),
        mode=runbook.mode,
        script=not act.verb,
        verbs=act.verbs,
        before=tuple(_said(check, values) for check in runbook.before),
        within_s=runbook.effect.within_s,
        limits=None if act.verb else runbook.limits,
        most_targets=runbook.most_targets,
        most_percent=runbook.most_percent,
        cool_down_s=runbook.cool_down_s,
        approvers=runbook.approvers,
        worked=known.worked if known else 0,
        tried=known.tried if known else 0,
    )


def _said(check: Check, values: Mapping[str, str]) -> str:
    return fill.text(f"{check.query} {check.holds}", values)


def failures(runbook: Runbook) -> tuple[str, ...]:
    """The runbook's own examples that don't come out as they say, each with what came out instead."""
    return tuple(wrong for number, one in enumerate(runbook.examples, 1) if (wrong := _failure(runbook, number, one)))


def _failure(runbook: Runbook, number: int, example: Example) -> str:
    path = CausalPath((example.node,), (), (None,), 0.0)
    cause = RootCause(1, example.node, example.metric, 1.0, path, (), fault=example.fault)
    try:
        words = command(runbook, cause, example.parameters, example.labels)
    except DataError as error:
        return "" if example.refused else f"{runbook.name}, test {number}: refused: {error}"
    if example.refused or words != example.words:
        return f"{runbook.name}, test {number}: comes to {list(words)}"
    return ""


def command(
    runbook: Runbook, cause: RootCause, given: Mapping[str, str], labels: Labels | None = None
) -> tuple[str, ...]:
    """The exact words for this cause and these parameters. DataError when the runbook is not for it, or a value is not allowed."""
    if not matches(runbook, cause, labels):
        raise DataError(f"{runbook.name} is not for {cause.fault} at {cause.node}")
    return fill.words(fill.filled(runbook.act, fill.values(runbook, cause.node, given)))


def _undo(runbook: Runbook, values: dict[str, str]) -> str:
    act: Act | None = runbook.undo
    return " ".join(fill.words(fill.filled(act, values))) if act else runbook.undo_words
