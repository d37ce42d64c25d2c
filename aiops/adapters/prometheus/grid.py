"""Answers to many questions as one Panel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aiops.adapters.prometheus.answer import Matrix, counts_and_sums
from aiops.domain import FloatArray, IntArray, Labels, Panel, Query, Scope, series_key, to_ns
from aiops.errors import DataError
from aiops.kernels.wire import labels
from aiops.kernels.wire.series import misplaced, spread

MAX_POINTS = 10_000  # per series and request; Prometheus refuses more than 11,000

_MS = 1_000_000  # ns


def pieces(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The multiples `first` to `last` of a step, both included, cut into requests: (first, last) of each."""
    for at in range(first, last + 1, MAX_POINTS):
        yield at, min(at + MAX_POINTS - 1, last)


class Grid:
    """Collects answers into one matrix over the multiples of `step` (ms) in the scope's time."""

    def __init__(self, scope: Scope, step: int) -> None:
        start, end = to_ns(scope.baseline.start), max(to_ns(scope.incident.end), to_ns(scope.baseline.end))
        self._scope, self._step = scope, step
        self._first, self._last = -(-start // (step * _MS)), -(-end // (step * _MS)) - 1
        self._labels: list[Labels] = []
        self._row: dict[bytes, int] = {}
        self._taken: list[tuple[IntArray, Matrix]] = []

    def requests(self) -> Iterator[tuple[int, int]]:
        """First and last time, in ms, of each request."""
        for first, last in pieces(self._first, self._last):
            yield first * self._step, last * self._step

    def take(self, query: Query, found: Matrix) -> None:
        """Adds the answer to one request. DataError for samples off the grid."""
        self._add(query, found)
        if found.histograms:
            self._add(query, counts_and_sums(found))

    def _add(self, query: Query, found: Matrix) -> None:
        bad = misplaced(found.sizes, found.times, self._first * self._step, self._step, self._last - self._first + 1)
        if bad >= 0:
            name = series_key(labels.decode(found.keys[bad]))
            raise DataError(f"series {name} has samples at times that were not asked for")
        rows = [self._row_of(key, query) for key in found.keys]
        self._taken.append((np.array(rows, np.int64), found))

    def _row_of(self, key: bytes, query: Query) -> int:
        if key in self._row:
            return self._row[key]
        told = labels.decode(key)
        if not told.get("__name__"):  # an expression; another may tell series with the same labels
            told["__name__"] = query.metric or query.text
            key = labels.encode(told)
        if key not in self._row:
            self._row[key] = len(self._labels)
            self._labels.append(told)
        return self._row[key]

    def panel(self) -> Panel:
        """The series that have a sample, over the time from the first to the last sample."""
        values: FloatArray = np.full((len(self._labels), max(0, self._last - self._first + 1)), np.nan)
        for rows, found in self._taken:
            spread(rows, found.sizes, found.times, found.values, self._first * self._step, self._step, values)
        has = ~np.isnan(values)
        kept = np.flatnonzero(has.any(axis=1)).tolist()
        if not kept:
            return Panel.empty()
        kept.sort(key=lambda row: series_key(self._labels[row]))
        seen = np.flatnonzero(has.any(axis=0))
        span = slice(int(seen[0]), int(seen[-1]) + 1)
        times = np.arange(self._first, self._last + 1, dtype=np.int64)[span] * (self._step * _MS)
        return Panel(
            tuple(self._labels[row] for row in kept),
            times,
            np.ascontiguousarray(values[kept][:, span]),
            ("",) * len(kept),
            self._scope.incident.mask(times),
        )
