"""A metrics source whose samples a test writes, with the time at which each can be read and the failures that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from aiops.domain import NS, Labels, Samples, TimeRange, series_key, to_ns
from aiops.errors import SourceError
from aiops.flows.watch import Plan, Watch
from aiops.schema import selector

BEGIN = 1_700_000_010 // 30 * 30  # on the grid
STEP = 30


@dataclass
class Written:
    """Answers `samples` of what is in it; `now` hides what comes later, `fails` is raised instead of an answer."""

    series: dict[str, tuple[Labels, list[tuple[float, float, float]]]] = field(
        default_factory=dict
    )  # time, value, arrival
    now: float = float("inf")
    fails: SourceError | None = None
    asked: list[tuple[str, TimeRange]] = field(default_factory=list)

    def add(
        self, labels: Labels, samples: Iterator[tuple[float, float]] | list[tuple[float, float]], late: float = 0
    ) -> None:
        self.series.setdefault(series_key(labels), (labels, []))[1].extend((t, v, t + late) for t, v in samples)

    def samples(self, query: str, window: TimeRange, timeout: float, step: timedelta | None = None) -> Samples:
        self.asked.append((query, window))
        if self.fails is not None:
            raise self.fails
        matchers = selector.parse(query)
        chosen = selector.chooser(matchers) if matchers is not None else (lambda _: True)
        start, end = to_ns(window.start), to_ns(window.end)
        found = []
        for labels, rows in self.series.values():
            if chosen(labels):
                inside = sorted(
                    (round(t * NS), v) for t, v, arrival in rows if start <= t * NS < end and arrival <= self.now
                )
                if inside:
                    found.append((labels, inside))
        starts = np.cumsum([0, *(len(rows) for _, rows in found)])
        flat = [row for _, rows in found for row in rows]
        return Samples(
            tuple(labels for labels, _ in found),
            tuple(series_key(labels).encode() for labels, _ in found),
            starts,
            np.array([t for t, _ in flat], np.int64),
            np.array([v for _, v in flat], np.float64),
        )

    def label_values(self, label: str, query: str, window: TimeRange, timeout: float) -> tuple[str, ...]:
        chosen = selector.chooser(selector.parse(query) or ())
        return tuple(
            sorted({labels[label] for labels, _ in self.series.values() if labels.get(label) and chosen(labels)})
        )

    def __getattr__(self, name: str) -> Any:  # the rest of the port is not asked
        raise AssertionError(f"{name} was asked")


def scraped(
    k: int, minutes: float, value: Callable[[float], float], every: float = STEP
) -> Iterator[tuple[float, float]]:
    """A series' samples from BEGIN on, each target at its own phase."""
    phase = (k * 7919) % 1000 / 1000 * every
    for j in range(int(minutes * 60 / every)):
        at = BEGIN + j * every + phase
        yield round(at, 3), value(at)


def noise(k: int) -> Callable[[float], float]:
    return lambda at: 10 + k + float(np.random.default_rng((k, int(at))).normal())


def fleet(count: int = 6, minutes: float = 90) -> Written:
    source = Written()
    for k in range(count):
        source.add({"__name__": "load", "instance": f"host-{k}"}, scraped(k, minutes, noise(k)))
    source.add({"__name__": "requests_total", "instance": "host-0"}, scraped(99, minutes, lambda at: 5 * (at - BEGIN)))
    return source


def end(minutes: float) -> float:
    return BEGIN + minutes * 60 + STEP / 4


def watch(source: Written, minutes: float, file: Any = None, **plan: Any) -> Watch:
    """A watch that begins `minutes` after BEGIN."""
    return Watch(source, Plan(**{"queries": ('{__name__!=""}',), "catch_up_s": 600, **plan}), file, end(minutes))  # type: ignore[arg-type]


def run(source: Written, watched: Watch, first: float, last: float, every: float = 0.5) -> Watch:
    """Ticks from `first` to `last` minutes after BEGIN."""
    for minutes in np.arange(first, last + every / 2, every):
        source.now = end(float(minutes))
        watched.tick(source.now)
    return watched


def known(watched: Watch) -> Mapping[tuple[int, int], list[Any]]:
    """What is known of each series, by the digest of its key: the engine's state, and what the fleet adds."""
    told = {}
    for selection in watched.selections:
        fleet = selection.fleet
        for block in fleet.blocks:
            for local in np.flatnonzero(fleet.live[block.first : block.first + block.used]):
                row = block.first + local
                columns = [fleet.at, fleet.raw, fleet.score, fleet.peak, fleet.peak_at, fleet.filled, fleet.counter]
                told[tuple(fleet.digests[row].tolist())] = [a[local] for a in block.state] + [c[row] for c in columns]
    return told


def assert_same(one: Watch, other: Watch) -> None:
    ours, theirs = known(one), known(other)
    assert ours.keys() == theirs.keys()
    for key, columns in ours.items():
        for j, (a, b) in enumerate(zip(columns, theirs[key], strict=True)):
            np.testing.assert_array_equal(a, b, err_msg=f"column {j}")
