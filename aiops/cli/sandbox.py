"""`aiops sandbox`: prove that repairs are confined here, and run a command as one would."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from aiops.cli import common

_SIZE = re.compile(r"(\d{1,15})([KMG]?)", re.IGNORECASE)
_FACTOR = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType[int]):
    """Bytes, as `128M`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is no size; write 128M", param, ctx)
        return int(match[1]) * _FACTOR[match[2].upper()]


@click.group()
def sandbox() -> None:
    """Try the sandbox that repairs run in."""


@sandbox.command()
@common.home
def probe(home: str | None) -> int:
    """Prove by a run that runs are confined here; remove what killed services left behind. Ends with 4 where they are not."""
    from aiops import app

    confined = app.sandbox(common.config(home))
    says = confined.ping(10.0)
    if swept := confined.sweep():
        common.note(f"removed what was left of {swept} runs")
    common.put(says, None)
    return 0


@sandbox.command(context_settings={"ignore_unknown_options": True})
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout", "timeout_s", type=float, default=30.0, show_default=True, metavar="S", help="Seconds at most."
)
@click.option("--memory", type=Size(), default="128M", show_default=True, help="Bytes of memory at most.")
@click.option("--pids", type=int, default=32, show_default=True, help="Processes and threads at most.")
@click.option("--cpu-weight", type=int, default=20, show_default=True, help="Share of the processors; others have 100.")
@click.option("--env", multiple=True, metavar="K=V", help="A variable of its environment.")
@click.option(
    "--file", "files", multiple=True, type=click.Path(path_type=Path), help="Copy into its working directory."
)
@common.home
def run(
    argv: tuple[str, ...],
    timeout_s: float,
    memory: int,
    pids: int,
    cpu_weight: int,
    env: tuple[str, ...],
    files: tuple[Path, ...],
    home: str | None,
) -> int:
    """Run `-- ARGV` in the sandbox and print how it ended, as JSON: status, exit_code, output, usage, why, artefacts."""
    from aiops import app
    from aiops.domain import Command, Limits, RunStatus
    from aiops.errors import UsageError

    if wrong := [one for one in env if not one.partition("=")[1]]:
        raise UsageError(f"--env {wrong[0]}: write K=V")
    if len({path.name for path in files}) < len(files):
        raise UsageError("--file: two files have one name")
    limits = Limits(timeout_s=timeout_s, memory=memory, pids=pids, cpu_weight=cpu_weight)
    contents = {path.name: common.read(str(path)) for path in files}
    command = Command(argv, dict(one.split("=", 1) for one in env), contents, limits)
    outcome = app.sandbox(common.config(home)).run(command)
    told = asdict(outcome) | {
        "artefacts": {name: data.decode("utf-8", "replace") for name, data in outcome.artefacts.items()}
    }
    common.put(common.dumped(told, "json"), None)
    return 4 if outcome.status in (RunStatus.REFUSED, RunStatus.REJECTED) else 0
