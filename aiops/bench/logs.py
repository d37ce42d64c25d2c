"""The log rows of `aiops bench speed`: lines turned into templates per second on one core, beside drain3 where that is installed.

Both see the same lines, of six usual forms with ever new ids and times, and start empty each round. drain3 runs as it comes,
without masks of its own; only this side also masks.
"""

from __future__ import annotations

import importlib
import random
import statistics
import time
from collections.abc import Callable, Sequence

from aiops.bench.figure import Figure
from aiops.kernels.templates import TemplateMiner

LINES, ROUNDS = 50_000, 5


def figures(lines: int = LINES, rounds: int = ROUNDS) -> list[Figure]:
    """One row. Without drain3 it has no reference."""
    told = stream(lines)
    TemplateMiner().fit(told[:100])  # compiled before the clock starts
    slow = _drain3()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_rate(lambda part: TemplateMiner().fit(part), told))
        if slow:
            theirs.append(_rate(slow, told[: lines // 10]))
    reference = statistics.median(theirs) if theirs else None
    name = "drain3" if theirs else ""
    return [Figure("log templates", statistics.median(ours), min(ours), max(ours), "lines/s", reference, name)]


def stream(lines: int) -> list[str]:
    """Log lines of a shop, the same for the same number of them."""
    rng = random.Random(20_240_229)  # noqa: S311 - nothing secret
    return [rng.choice(_FORMS)(rng) for _ in range(lines)]


def _id(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"


_FORMS: Sequence[Callable[[random.Random], str]] = (
    lambda r: (
        f"{_clock(r)} INFO  s.s.SeatServiceImpl#{r.randrange(40)} [getLeft][Seat(from={_id(r)}, n={r.randrange(9)})]"
    ),
    lambda r: (
        f'time={_clock(r)}Z level=info caller=main.go:{r.randrange(40)} msg="order placed" order={_id(r)} took={r.random():.3f}s'
    ),
    lambda r: (
        f'{{"ts":{1.7e9 + r.random():.6f},"level":"warn","msg":"retry {r.randrange(9)} of upstream","trace_id":"{_id(r)}"}}'
    ),
    lambda r: (
        f'10.0.{r.randrange(256)}.{r.randrange(256)} - - [{_clock(r)}] "GET /cart/{_id(r)} HTTP/1.1" 200 {r.randrange(9999)}'
    ),
    lambda r: (
        f"{_clock(r)} ERROR can't reach 10.1.2.{r.randrange(256)}:8080 after {r.randrange(5000)} ms (attempt {r.randrange(5)})"
    ),
    lambda r: f"worker {r.randrange(64)} finished job {_id(r)[:8]} with status {r.choice(('ok', 'late', 'dropped'))}",
)


def _clock(rng: random.Random) -> str:
    return f"2026-03-01 {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}"


def _rate(work: Callable[[list[str]], object], lines: list[str]) -> float:
    began = time.process_time()
    work(lines)
    return len(lines) / max(time.process_time() - began, 1e-9)


def _drain3() -> Callable[[list[str]], object] | None:
    """drain3's miner over lines, fresh each time; None where it isn't installed (no extra brings it)."""
    try:
        module = importlib.import_module("drain3")
    except ImportError:
        return None

    def work(lines: list[str]) -> None:
        miner = module.TemplateMiner()
        for line in lines:
            miner.add_log_message(line)

    return work
