"""What `aiops watch` costs: memory of a fleet, and CPU of a tick, fetch to scores, over a live metrics source.

python -m aiops.bench.watching                                        a million series in memory
python -m aiops.bench.watching prometheus+http://HOST:9090 SELECTOR   ticks over what the selector means
"""

from __future__ import annotations

import resource
import statistics
import sys
import time

import numpy as np

from aiops import app, settings
from aiops.bench.figure import Figure
from aiops.domain import NS, Samples
from aiops.errors import AiopsError, DataError
from aiops.flows.watch import EVERYTHING, Fleet, Plan, Watch
from aiops.kernels import digests
from aiops.ports import MetricsSource

SERIES, STEPS, ROUNDS = 1_000_000, 4, 7
_BEGIN, _STEP = 1_700_000_010, 30


def memory(series: int = SERIES, steps: int = STEPS) -> list[Figure]:
    """A fleet of `series` series of the first tier, each with samples at `steps` steps: its state, its CPU, and the process' most."""
    fleet = Fleet()
    rng = np.random.default_rng(1)
    keys = [f'load{{instance="host-{k}"}}'.encode() for k in range(series)]
    rows = fleet.add(digests.digests(keys), np.zeros(series, np.bool_), 0, _BEGIN - _STEP)
    spent = []
    for k in range(steps):
        grid = np.array([_BEGIN + k * _STEP])
        starts, times = np.arange(series + 1), np.full(series, grid[0] * NS - NS)
        samples = Samples((), keys, starts, times, rng.normal(100, 5, series))
        began = time.process_time()
        fleet.walk(samples, rows, grid, 0, _STEP, _STEP * NS // 4)
        spent.append(time.process_time() - began)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        _figure("state of a watched series, first tier", [fleet.state_bytes / series], "bytes"),
        _figure(f"process with {series:,} watched series, at most", [most / 1e9], "GB"),
        _figure(f"walk of {series:,} series by one step", spent[1:], "s CPU"),
    ]


def ticks(source: MetricsSource, query: str, rounds: int = ROUNDS) -> list[Figure]:
    """CPU of this process for a tick over `query`: request, answer, decoding, rows, engine, names. Times end now.

    DataError where nothing could be read: what a failed tick takes is no figure."""
    now = time.time() - rounds * _STEP
    watch = Watch(source, Plan(queries=(query,), step_s=_STEP, catch_up_s=2 * _STEP), None, now)
    watch.tick(now)
    watch.tick(now + _STEP)
    spent, fleet = [], watch.selections[0].fleet
    if not len(fleet):
        raise DataError(f"there is no series of {query} to watch, or it can't be read")
    for k in range(2, rounds + 2):
        began = time.process_time()
        watch.tick(now + k * _STEP)
        watch.families()
        spent.append(time.process_time() - began)
    if watch.tally.errors["metrics"]:
        raise DataError(f"{watch.tally.errors['metrics']} reads of {query} failed")
    return [
        _figure(f"tick of {len(fleet):,} series from a live source", spent, "s CPU"),
        _figure("state of a watched series", [fleet.state_bytes / max(len(fleet), 1)], "bytes"),
    ]


def _figure(name: str, values: list[float], unit: str) -> Figure:
    return Figure(name, statistics.median(values), min(values), max(values), unit)


def main(arguments: list[str]) -> None:
    """Prints a line for each figure: median [least, most]."""
    try:
        figures = _figures(arguments)
    except AiopsError as error:
        sys.exit(f"aiops.bench.watching: {error}")
    for f in figures:
        sys.stdout.write(f"{f.name:<52}{f.value:>12,.3f} {f.unit:<6} [{f.least:,.3f}, {f.most:,.3f}]\n")


def _figures(arguments: list[str]) -> list[Figure]:
    if arguments:
        with app.metrics(settings.load({"sources.metrics": arguments[0]})) as source:
            return ticks(source, arguments[1] if len(arguments) > 1 else EVERYTHING)
    return memory()


if __name__ == "__main__":
    main(sys.argv[1:])
