"""`aiops bench ingest`: how many notifications a server takes, durable when answered, beside a plain one in the same run.

Ours is `aiops serve` as it is started by hand, without the embedded worker, on a home of its own; the reference is plainhook.py.
Both stand on the same disk and are loaded in turn by one load generator in another process (load.py), which asks of each as
much as it gives, with single alerts and with bodies of 200; then ours is asked for half of what it gave, for the times. A rate
per core counts the CPU seconds of the server's process alone, so that neither the generator's nor a busy machine's count; the
rate by the clock stands beside it, and on most disks the fsync decides that one.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiops import resources
from aiops.bench.progress import progress
from aiops.errors import SourceUnreachable

PATH = "/v1/webhooks/alertmanager"
ROUNDS, SECONDS = 3, 5.0
SIZES = {1: 64, 200: 16}  # alerts in a body -> connections
START_S = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians of the rounds. `per_core`: alerts per CPU second of the server; `per_second`: by the clock.

    The times are those of single requests at `half_rate` requests a second; None where that was not asked."""

    alerts: int
    server: str
    per_core: float
    per_second: float
    half_rate: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    requests: int
    seconds: float
    cpu_s: float
    p50_ms: float
    p99_ms: float


def run(as_json: bool, *, folder: Path | None = None, rounds: int = ROUNDS, seconds: float = SECONDS) -> str:
    """The table, or JSON. SourceUnreachable when a server does not start or refuses what it is sent."""
    figures = measure(folder, rounds, seconds)
    if as_json:
        told = {"rounds": rounds, "seconds": seconds, "figures": [asdict(f) for f in figures]}
        return json.dumps(told, indent=2)
    return _text(figures)


def measure(folder: Path | None, rounds: int, seconds: float) -> list[Figure]:
    """Ours and the reference for each size of body. `folder`: where the databases stand (default: a temporary one)."""
    with tempfile.TemporaryDirectory(dir=folder) as home, _ours(Path(home)) as ours, _plain(Path(home)) as plain:
        servers = {"aiops serve": ours, "FastAPI + pydantic + insert": plain}
        taken: dict[tuple[int, str], list[_Run]] = {(size, name): [] for size in SIZES for name in servers}
        for done in range(rounds):
            for (size, name), runs in taken.items():
                runs.append(_load(servers[name], size, seconds))
            progress(done + 1, rounds)
        halves = {size: _half(ours, size, seconds, taken[size, "aiops serve"]) for size in SIZES}
    return [
        _figure(size, name, runs, halves[size] if name == "aiops serve" else None)
        for (size, name), runs in taken.items()
    ]


def _figure(size: int, name: str, runs: list[_Run], half: tuple[float, _Run] | None) -> Figure:
    per_core = statistics.median(r.requests * size / r.cpu_s for r in runs)
    per_second = statistics.median(r.requests * size / r.seconds for r in runs)
    if half is None:
        return Figure(size, name, per_core, per_second)
    rate, told = half
    return Figure(size, name, per_core, per_second, rate, told.p50_ms, told.p99_ms)


def _half(server: _Server, size: int, seconds: float, runs: list[_Run]) -> tuple[float, _Run]:
    rate = statistics.median(r.requests / r.seconds for r in runs) / 2
    return rate, _load(server, size, seconds, rate)


def _text(figures: list[Figure]) -> str:
    head = f"{'alerts a body':<15}{'server':<30}{'per CPU s':>11}{'per second':>12}   at half of it: requests/s, p50, p99 ms"
    rows = [
        f"{f.alerts:<15}{f.server:<30}{f.per_core:>11,.0f}{f.per_second:>12,.0f}"
        + (f"   {f.half_rate:,.0f}, {f.p50_ms:.1f}, {f.p99_ms:.1f}" if f.half_rate is not None else "")
        for f in figures
    ]
    return "\n".join(["alerts taken, durable when answered", head, *rows])


# ---------------------------------------------------------------- processes


@dataclass(frozen=True, slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    url: str

    def cpu_s(self) -> float:
        """CPU seconds of the process and its threads (proc(5): fields 14 and 15 of stat)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load(server: _Server, alerts: int, seconds: float, rate: float = 0.0) -> _Run:
    before = server.cpu_s()
    command = [sys.executable, "-m", "aiops.bench.load", server.url + PATH]
    command += [
        "--alerts",
        str(alerts),
        "--connections",
        str(SIZES[alerts]),
        "--seconds",
        str(seconds),
        "--rate",
        str(rate),
    ]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - our own program
    if set(told["statuses"]) != {"202"}:
        raise SourceUnreachable("202 for each notification", server.url, f"answers by status {told['statuses']}")
    return _Run(told["requests"], told["seconds"], server.cpu_s() - before, told["p50_ms"], told["p99_ms"])


@contextmanager
def _ours(home: Path) -> Iterator[_Server]:
    config = f'[service]\nworker = false\nqueue_limit = {10**9}\n[model]\nurl = ""\n'
    (home / "config.toml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-c", "from aiops.cli import main; main()", "serve", "--home", str(home)]
    command += ["--listen", "127.0.0.1:0", "--metrics", f"case:{resources.demo_incident()}"]
    told = home / "told.log"
    with told.open("wb") as log, _ended(subprocess.Popen(command, stderr=log)) as process:  # noqa: S603 - our own program
        url = _wait(process, lambda: re.search(r"aiops listens on (\S+)", told.read_text("utf-8")), told)
        yield _Server(process, url)


@contextmanager
def _plain(home: Path) -> Iterator[_Server]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        descriptor, port = opened.fileno(), opened.getsockname()[1]
        command = [sys.executable, "-m", "aiops.bench.plainhook", str(home / "plain.db"), str(descriptor)]
        with _ended(subprocess.Popen(command, pass_fds=[descriptor])) as process:  # noqa: S603 - our own program
            yield _Server(process, f"http://127.0.0.1:{port}")


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends the process with the block, gently at first."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], found: Callable[[], re.Match[str] | None], told: Path) -> str:
    for _ in range(START_S * 20):
        if match := found():
            return match[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SourceUnreachable(
        "a server to measure", "aiops serve", f"it does not start: {told.read_text('utf-8')[-500:]}"
    )
