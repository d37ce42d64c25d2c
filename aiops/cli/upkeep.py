"""`aiops backup`, `restore` and `purge`: what is kept, kept safe, and kept no longer than it should be."""

from __future__ import annotations

from pathlib import Path

import click

from aiops.cli import common


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common.sources
def backup(file: Path, home: str | None) -> int:
    """Write all that is kept here into one file, also while it is served.

    Reports, recordings, the audit log, jobs, changes, dependencies, repairs with the acts that were done outside, and what `aiops
    watch` and its shards have learnt. What stands on other machines (Redis, Neo4j, shards there) and config.toml with the files that
    it names have back-ups of their own."""
    from aiops import app

    written = app.backup(common.config(home), file)
    for name, size in written.items():
        common.note(f"{name}: {size} bytes")
    common.put(str(file), None)
    return 0


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common.sources
def restore(file: Path, home: str | None) -> int:
    """Put a back-up into a home directory that holds nothing yet.

    Every file is checked before any is put in its place, and nothing is ever overwritten. Exit code 4 where something is there."""
    from aiops import app

    settings = common.config(home)
    manifest = app.restore(settings, file)
    for name in manifest["files"]:
        common.note(f"restored {name}")
    common.put(f"{settings.home}: as it was at {manifest['created']}; `aiops audit verify` checks its audit log", None)
    return 0


@click.command()
@common.sources
def purge(home: str | None) -> int:
    """Take away what is older than it is to be kept.

    The settings stores.report_keep_days, recording_keep_days, change_keep_days and job_keep_days say how long that is. `aiops
    serve` does this every hour. The audit log is never shortened by it."""
    with common.connect(home) as ops:
        gone = ops.purge()
    common.put("\n".join(f"{what}: {count}" for what, count in gone.items()), None)
    return 0
