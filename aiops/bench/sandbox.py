"""`aiops bench sandbox`: what the sandbox adds to a run, beside the same program started bare, taking turns in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass

from aiops.bench.progress import progress
from aiops.domain import Command, RunStatus
from aiops.errors import Refused
from aiops.ports import Sandbox

ROUNDS = 100
PROGRAMS = {"true": ("/bin/true",), "python": ("/usr/bin/python3", "-S", "-c", "pass")}


@dataclass(frozen=True, slots=True)
class Figure:
    """One program, in milliseconds: bare, and what the sandbox adds to that at the median and at the 95th percentile."""

    program: str
    rounds: int
    bare_p50_ms: float
    sandboxed_p50_ms: float
    overhead_p50_ms: float
    overhead_p95_ms: float


def run(sandbox: Sandbox, as_json: bool = False, rounds: int = ROUNDS) -> str:
    """The table, or JSON. Refused where nothing can be confined."""
    figures = [_measured(sandbox, name, argv, rounds) for name, argv in PROGRAMS.items()]
    if as_json:
        return json.dumps({"figures": [asdict(figure) for figure in figures]}, indent=2)
    head = f"{'program':<10}{'runs':>6}{'bare p50':>12}{'sandboxed p50':>16}{'overhead p50':>15}{'overhead p95':>15}"
    rows = [
        f"{f.program:<10}{f.rounds:>6}{f.bare_p50_ms:>9.1f} ms{f.sandboxed_p50_ms:>13.1f} ms"
        f"{f.overhead_p50_ms:>12.1f} ms{f.overhead_p95_ms:>12.1f} ms"
        for f in figures
    ]
    return "\n".join([head, *rows])


def _measured(sandbox: Sandbox, name: str, argv: tuple[str, ...], rounds: int) -> Figure:
    bare: list[float] = []
    confined: list[float] = []
    for done in range(rounds):
        began = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env={})  # noqa: S603 - a program of PROGRAMS
        bare.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        outcome = sandbox.run(Command(argv))
        confined.append((time.perf_counter() - began) * 1e3)
        if outcome.status is not RunStatus.OK:
            raise Refused(f"{name}: {outcome.status}: {outcome.why or outcome.output}")
        progress(done + 1, rounds)
    base = statistics.median(bare)
    added = statistics.quantiles([one - base for one in confined], n=20)
    return Figure(name, rounds, base, statistics.median(confined), statistics.median(confined) - base, added[18])
