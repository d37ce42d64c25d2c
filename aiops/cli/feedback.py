"""`aiops feedback`: people say what was true, and later diagnoses know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Feedback

LONGEST_NOTE = 2_000  # characters


@click.command()
@click.argument("report_id", metavar="[ID]", required=False)
@click.option("--cause", metavar="SERVICE", help="What the root cause was.")
@click.option("--wrong", is_flag=True, help="It was not SERVICE, and what it was is unknown.")
@click.option("--note", metavar="TEXT", default="", help="Why, for whoever reads it later.")
@click.option("--withdraw", is_flag=True, help="Forget what was told about the report.")
@click.option("--list", "listed", is_flag=True, help="Show what was told, oldest first.")
@common.home
@click.option("--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True)
def feedback(
    report_id: str | None,
    cause: str | None,
    wrong: bool,
    note: str,
    withdraw: bool,
    listed: bool,
    home: str | None,
    form: str,
) -> int:
    """Tell what the root cause behind a report was.

    Later reports on the same symptom show it as a prior, which supports their own evidence; diagnosis.priors = false switches
    that off. Telling again replaces what was told before."""
    if [bool(cause), withdraw, listed].count(True) != 1:
        raise click.UsageError("one of --cause, --withdraw and --list is needed")
    if bool(report_id) == listed:
        raise click.UsageError("--list takes no report" if listed else "the ID of a report is needed")
    if (wrong or note) and not cause:
        raise click.UsageError("--wrong and --note go with --cause")
    if len(note) > LONGEST_NOTE:
        raise click.UsageError(f"--note is longer than {LONGEST_NOTE} characters")
    with common.connect(home) as ops:
        if listed:
            told = ops.store.told()
        elif withdraw:
            ops.withdraw(str(report_id))
            common.note(f"forgotten what was told about {report_id}")
            return 0
        else:
            one, new = ops.feedback(str(report_id), str(cause), note=note, wrong=wrong)
            common.note("kept" if new else "known already")
            told = (one,)
    common.put(_shown(told, form), None)
    return 0


def _shown(told: Iterable[Feedback], form: str) -> str:
    from aiops.cli.answers import columns
    from aiops.schema import wire

    if form in {"json", "yaml"}:
        return common.dumped([wire.plain(each) for each in told], form)
    rows = [
        (
            each.report_id,
            f"{each.at:%Y-%m-%dT%H:%M:%SZ}",
            each.symptom,
            "wrong" if each.wrong else "confirmed",
            each.cause,
            " ".join(each.note.split()),
        )
        for each in told
    ]
    if not rows:
        common.note("nothing was told yet; `aiops feedback ID --cause SERVICE` tells the cause behind a report")
    return columns([("report", "told", "symptom", "", "cause", "note"), *rows])
