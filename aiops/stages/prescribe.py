"""Stage 7: RootCauses -> Remediation. Matches runbooks; proposes, never runs."""

from __future__ import annotations

from collections.abc import Mapping

from aiops.domain import Act, CausalPath, Example, Labels, Remediation, RootCause, RootCauses, Runbook, Verdict
from aiops.errors import DataError
from aiops.schema import fill
from aiops.telemetry import stage


@stage("prescribe")
def prescribe(causes: RootCauses, runbooks: tuple[Runbook, ...]) -> Remediation | None:
    """The runbook that mends the first root cause and says most about when it fits; among equals the first by name.

    None when the verdict is inconclusive: a repair of a guess is not offered."""
    if causes.verdict is not Verdict.FOUND or not causes.candidates:
        return None
    cause = causes.candidates[0]
    ordered = sorted(runbooks, key=lambda r: (-_narrowness(r), r.name))
    return next((p for r in ordered if r.mode != "off" and (p := propose(r, cause)) is not None), None)


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


def propose(runbook: Runbook, cause: RootCause, labels: Labels | None = None) -> Remediation | None:
    """What the runbook would do about the cause; None when it is not for it, or the node is no value for its parameter.

    A value that a person must give stands as `<name>`."""
    if not matches(runbook, cause, labels):
        return None
    values: dict[str, str] = {}
    try:
        for one in runbook.parameters:
            by_itself = one.source == "node" or one.default
            known = cause.node if one.source == "node" else one.default
            values[one.name] = fill.value(one, known) if by_itself else f"<{one.name}>"
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
        check=fill.text(f"{runbook.effect.query} {runbook.effect.holds}", values),
        undo=_undo(runbook, values),
        mode=runbook.mode,
    )


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
