"""How the answers to a request of several tasks are put out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Agenda
    from aiops.flows.agenda import AgendaResult, StepResult
    from aiops.ops import Ops


def answer(ops: Ops, agenda: Agenda, form: str | None, output: Path | None) -> int:
    """Runs all tasks, puts out what became of each, and returns the exit code of the worst."""
    form = common.chosen(form, output)
    if form == "html":
        raise click.UsageError("several tasks have no html form; each has its own report, `aiops reports` lists them")
    result = ops.run_agenda(agenda)
    if form in {"json", "yaml"}:
        common.put(common.dumped(_plain(result), form), output)
    else:
        common.put("\n\n".join(_told(ops, one, form) for one in result.results), output)
    return max(_code(one) for one in result.results)


def _told(ops: Ops, one: StepResult, form: str) -> str:
    title = f"{one.task.task_id}: {one.state}{f' ({one.why})' if one.why else ''}"
    title = f"# {title}" if form == "md" else title
    return title if one.report is None else f"{title}\n\n{common.rendered(ops, one.report, form)}"


def _plain(result: AgendaResult) -> dict[str, Any]:
    """The outside form, `aiops-agenda/1`; each report as `diagnose --format json` prints it."""
    from aiops.schema import wire

    return {
        "schema": "aiops-agenda/1",
        "agenda_id": result.agenda_id,
        "trace_id": result.trace_id,
        "tenant": result.tenant,
        "results": [
            {"task_id": one.task.task_id, "intent": str(one.task.intent), "state": str(one.state), "why": one.why}
            | ({"report": wire.public_report(one.report)} if one.report else {})
            for one in result.results
        ],
    }


def _code(one: StepResult) -> int:
    """As for one task; a skipped task is an answer, a failed one has no report."""
    from aiops.domain import Verdict
    from aiops.flows.agenda import StepState

    if one.state is StepState.FAILED:
        return 3
    return 1 if one.report is not None and one.report.verdict is not Verdict.FOUND else 0
