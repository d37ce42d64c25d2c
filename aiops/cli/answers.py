"""The commands that answer with a report: demo, ask, diagnose, run, reports, replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import agenda, common

if TYPE_CHECKING:
    from aiops.domain import Feedback, Task
    from aiops.ops import Ops

DEMO_PAGE = "aiops-demo.html"


@click.command()
@click.option("--ask", "text", metavar="TEXT", help="Ask this about the incident; shows the task first, then runs it.")
@common.home
@common.answers
def demo(text: str | None, home: str | None, form: str | None, output: Path | None) -> int:
    """Diagnose the recorded incident that ships with aiops.

    Metrics, logs, traces and topology of a real fault; no network, no language model. The report is also written as one
    HTML file into the current directory (or the home directory, where that can't be written)."""
    from aiops import resources

    incident = resources.demo_incident()
    with common.connect(home, sources__metrics=f"case:{incident}") as ops:
        if text:
            return _demo_question(ops, text, form, output)
        common.note(f"replaying the recorded incident in {incident}")
        report = ops.diagnose()
        place = _page(common.rendered(ops, report, "html"), common.config(home).home)
        code = common.answer(ops, report, form, output)
    common.note(f"the same report as a page: {place}")
    return code


def _demo_question(ops: Ops, text: str, form: str | None, output: Path | None) -> int:
    """As `ask`, at the time of the incident."""
    from aiops.schema import task as task_schema

    common.asked_in(text)
    taken = ops.plan(text, now=ops.sources.metrics.symptom().at)
    common.note(f"{text}\n\n{task_schema.dump(taken.task, taken.origins)}")
    return _run(ops, taken.task, form, output)


def _page(page: str, home: Path) -> Path:
    place = Path.cwd() / DEMO_PAGE
    try:
        place.write_text(page, encoding="utf-8")
    except OSError:
        place = home / DEMO_PAGE
        common.put(page, place)
    return place


@click.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--plan", is_flag=True, help="Print the task as YAML and run nothing.")
@click.option(
    "--session",
    metavar="ID",
    default="",
    help="Makes this a possible follow-up of your turn before in it; `.` is this terminal.",
)
@click.option("--now", type=common.Moment(), metavar="TIME", help="What `now` means (default: the clock).")
@common.sources
@common.answers
def ask(
    text: tuple[str, ...],
    plan: bool,
    session: str,
    now: datetime | None,
    home: str | None,
    form: str | None,
    output: Path | None,
) -> int:
    """Ask in words.

    The words become a task, which is run. When something must be asked back, the question is printed and the exit code
    is 1."""
    common.asked_in(" ".join(text))
    with common.connect(home) as ops:
        taken = ops.plan(" ".join(text), session=common.session(session), now=now)
        if taken.note:
            common.note(taken.note)
        if plan:
            from aiops.schema import agenda as agenda_schema
            from aiops.schema import task as task_schema

            several = taken.agenda and agenda_schema.dump(taken.agenda, taken.origins_of)
            common.put(several or task_schema.dump(taken.task, taken.origins), output)
            return _planned(taken.task)
        if taken.agenda:
            return agenda.answer(ops, taken.agenda, form, output)
        said = taken.task.expected_output_format if taken.origins.get("expected_output_format") == "said" else ""
        return _run(ops, taken.task, form or common.OF_TASK.get(said), output)


def _planned(task: Task) -> int:
    from aiops.domain import Intent

    return 1 if task.intent is Intent.CLARIFY else 0


def _run(ops: Ops, task: Task, form: str | None, output: Path | None) -> int:
    from aiops.domain import Intent

    if task.intent is Intent.CLARIFY:
        common.put(task.question or "What is to be diagnosed?", output)
        return 1
    return common.answer(ops, ops.run(task), form, output)


@click.command()
@click.option("--alert", metavar="FILE", help="Alertmanager's webhook body, a list of alerts or one; `-` for stdin.")
@click.option("--case", "case", metavar="DIR", help="A recorded incident: a folder or a recording (zip).")
@click.option("--symptom", metavar="SERVICE[:METRIC]", help="What hurts.")
@click.option("--at", type=common.Moment(), metavar="TIME", help="When it was noticed (default: now).")
@click.option("--since", type=common.Duration(), metavar="DURATION", help="How far back to read (default: 1h).")
@common.sources
@common.answers
def diagnose(
    alert: str | None,
    case: str | None,
    symptom: str | None,
    at: datetime | None,
    since: timedelta | None,
    home: str | None,
    form: str | None,
    output: Path | None,
) -> int:
    """Find the root causes of an alert, a recorded incident or a symptom."""
    from aiops.schema import alertmanager

    if not (alert or case or symptom):
        raise click.UsageError("one of --alert, --case and --symptom is needed")
    alerts = alertmanager.alerts_of(common.read(alert), alert) if alert else ()
    service, _, metric = (symptom or "").partition(":")
    if symptom and not service:
        raise click.UsageError(f"--symptom {symptom!r}: a service is needed before the colon")
    more = {"sources__metrics": f"case:{case}"} if case else {}
    with common.connect(home, **more) as ops:
        report = ops.diagnose(service or None, metric or None, at, since, alerts=alerts)
        return common.answer(ops, report, form, output)


@click.command()
@click.argument("file", metavar="TASK.yaml")
@common.sources
@common.answers
def run(file: str, home: str | None, form: str | None, output: Path | None) -> int:
    """Run a task as `ask --plan` prints it.

    TASK.yaml may hold several tasks, and may be `-` for stdin. The form of the answer is the task's own unless --format says otherwise."""
    from aiops.domain import Agenda
    from aiops.schema import agenda as agenda_schema

    task = agenda_schema.load(common.read(file), file)
    if isinstance(task, Agenda):
        with common.connect(home) as ops:
            return agenda.answer(ops, task, form, output)
    own = None if output else common.OF_TASK[task.expected_output_format]
    with common.connect(home) as ops:
        return _run(ops, task, form or own, output)


@click.command()
@click.argument("report_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many to list.")
@common.home
@common.answers
def reports(report_id: str | None, limit: int, home: str | None, form: str | None, output: Path | None) -> int:
    """List the stored reports, or show one."""
    with common.connect(home) as ops:
        if report_id:
            return common.answer(ops, ops.report(report_id), form, output)
        rows = _judged(ops.store.reports(limit), ops.store.told())
    form = common.chosen(form, output)
    if form == "html":
        raise click.UsageError("the list has no html form; `aiops serve` shows it as a page")
    common.put(_listed(rows, form), output)
    return 0


_COLUMNS = ("id", "created", "verdict", "symptom", "cause", "feedback")


def _judged(rows: Iterable[Mapping[str, str]], told: Iterable[Feedback]) -> list[Mapping[str, str]]:
    """The rows with `feedback`: what people told of the first cause, `confirmed` or `wrong`, "" where nobody did."""
    said = {each.report_id: each for each in told}
    return [{**row, "feedback": _judgement(row.get("cause", ""), said.get(row["id"]))} for row in rows]


def _judgement(cause: str, said: Feedback | None) -> str:
    if said is None or (said.wrong and said.cause != cause):
        return ""
    return "confirmed" if said.cause == cause and not said.wrong else "wrong"


def _listed(rows: Sequence[Mapping[str, Any]], form: str) -> str:
    if form in {"json", "yaml"}:
        return common.dumped([dict(row) for row in rows], form)
    table = [_COLUMNS, *(tuple(" ".join(str(row.get(c, "")).split()) for c in _COLUMNS) for row in rows)]
    if form == "md":
        cells = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in table]
        lines = [f"| {line} |" for line in cells]
        return "\n".join([lines[0], "|" + " --- |" * len(_COLUMNS), *lines[1:]])
    if not rows:
        common.note("no report yet; `aiops demo` makes one")
    return columns(table)


def columns(table: Sequence[Sequence[str]]) -> str:
    """Lines of aligned columns."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table)


@click.command()
@click.argument("what", metavar="ID|FILE")
@common.home
@common.answers
def replay(what: str, home: str | None, form: str | None, output: Path | None) -> int:
    """Compute a report again from its recording alone.

    The same recording gives the same report, but for `meta.run`, with the same version and CPU family."""
    with common.connect(home) as ops:
        report = ops.replay(common.read(what) if Path(what).is_file() else what)
        return common.answer(ops, report, form, output)
