"""`aiops rules`: what may be done, and whether it is written as it is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Act, Runbook
    from aiops.rules import Rules


@click.group()
def rules() -> None:
    """Show, check and test the runbooks."""


def _folder(command: Any) -> Any:
    command = click.option(
        "--folder", type=click.Path(path_type=Path, file_okay=False), help="Instead of the rules of the settings."
    )(command)
    return common.home(command)


def _load(folder: Path | None, home: str | None) -> Rules:
    from aiops import app
    from aiops import rules as reading

    return reading.load(folder) if folder else app.known_rules(common.config(home))


@rules.command("list")
@_folder
def listed(folder: Path | None, home: str | None) -> int:
    """List the runbooks: name, mode, which faults they mend, title."""
    books = _load(folder, home).runbooks
    common.put("\n".join(f"{b.name:<24}{b.mode:<9}{', '.join(b.faults):<30}{b.title}" for b in books), None)
    return 0


@rules.command()
@_folder
def check(folder: Path | None, home: str | None) -> int:
    """Check every file of the rules: fields, values, patterns, hashes of scripts. Ends with 2 where one is wrong."""
    known = _load(folder, home)
    common.put(f"{len(known.runbooks)} runbooks, hash {known.hashes['rules']}: ok", None)
    return 0


@rules.command()
@_folder
@click.option("--dry-run", is_flag=True, help="Run the dry run of each script, too, in the sandbox.")
def test(folder: Path | None, home: str | None, dry_run: bool) -> int:
    """Run the tests that the runbooks bring. Ends with 1 where one fails."""
    from aiops.stages import prescribe

    books = _load(folder, home).runbooks
    failed = [wrong for book in books for wrong in prescribe.failures(book)]
    if dry_run:
        failed += [wrong for book in books if (wrong := _rehearsed(book, home))]
    if failed:
        common.put("\n".join(failed), None)
        return 1
    common.put(f"{sum(len(book.examples) for book in books)} tests of {len(books)} runbooks: ok", None)
    return 0


def _rehearsed(book: Runbook, home: str | None) -> str:
    """What is wrong with the dry run of a script, for its first example that comes to words."""
    from aiops import app
    from aiops.domain import Command, RunStatus
    from aiops.schema import fill

    example = next((one for one in book.examples if not one.refused), None)
    if book.dry_run is None or example is None:
        return ""
    act = fill.filled(book.dry_run, fill.values(book, example.node, example.parameters))
    outcome = app.sandbox(common.config(home)).run(Command(act.argv, files=act.files, limits=book.limits))
    if outcome.status is RunStatus.OK:
        return ""
    return f"{book.name}, dry run: {outcome.status}: {outcome.why} {outcome.output.strip()[-300:]}"


@rules.command()
@_folder
@click.argument("name")
def explain(name: str, folder: Path | None, home: str | None) -> int:
    """Tell everything about the runbook NAME."""
    from aiops.errors import NotFound

    books = _load(folder, home).runbooks
    book = next((one for one in books if one.name == name), None)
    if book is None:
        raise NotFound(f"no runbook {name}; there are {', '.join(one.name for one in books)}")
    common.put("\n".join(f"{key:<14}{value}" for key, value in _told(book).items() if value), None)
    return 0


def _told(book: Runbook) -> dict[str, str]:
    reach = [f"{book.most_targets} targets"] if book.most_targets else []
    reach += [f"{book.most_percent} % of them"] if book.most_percent else []
    limits = book.limits
    return {
        "name": book.name,
        "title": book.title,
        "owner": book.owner,
        "mode": f"{book.mode}, {book.approvers} to approve",
        "faults": ", ".join(book.faults),
        "node": book.node,
        "metric": book.metric,
        "labels": ", ".join(f"{label} fits {pattern}" for label, pattern in sorted(book.labels.items())),
        "parameters": "; ".join(f"{one.name} ({one.kind})" for one in book.parameters),
        "act": _words(book.act),
        "dry run": _words(book.dry_run) if book.dry_run else "its own",
        "before": "; ".join(f"{one.query} {one.holds}" for one in book.before),
        "effect": f"{book.effect.query} {book.effect.holds}, within {book.effect.within_s:g} s"
        + (", and what alerted in its band" if book.mends else ""),
        "undo": book.undo_words,
        "limits": f"{limits.timeout_s:g} s, {limits.memory >> 20} MiB, {limits.pids} processes"
        if book.act.argv
        else "",
        "reach": f"{' and '.join(reach)} within {book.cool_down_s:g} s",
        "hash": book.hash,
    }


def _words(act: Act) -> str:
    from aiops.schema import fill

    return " ".join(fill.words(act)) + (f" (may ask for {', '.join(act.verbs)})" if act.verbs else "")


@rules.command()
def schema() -> int:
    """Print the JSON Schema of a runbook."""
    from aiops.schema import runbook

    common.put(common.dumped(runbook.schema(), "json"), None)
    return 0
