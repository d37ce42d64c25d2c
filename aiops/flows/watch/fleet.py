"""The series that are watched, one row each: which key has which row, what the engine knows of it, and its last score.

Rows stand in blocks that never move, so that a fleet grows without copying gigabytes and a walk's matrices stay small. A row whose
series is gone for longer than `expire` is given to the next new series. A block belongs to one tier of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.domain import NS, BoolArray, FloatArray, IntArray, Samples
from aiops.kernels import digests, slots, tick
from aiops.kernels.digests import Digests
from aiops.kernels.slots import Seconds

# Rows a block has: some 16 MB in the first tier, 19 MB in the second.
SIZES = {0: 8192, tick.MEMORY: 1024}
_LOST = 2.5  # steps without a sample after which a score no longer holds

_OWN = ("at", "raw", "filled", "score", "peak", "peak_at")

Single = NDArray[np.float32]


@dataclass(slots=True)
class Block:
    first: int  # its first row
    state: tick.State
    used: int = 0  # rows that were ever given out, from the first

    @property
    def memory(self) -> int:
        return int(self.state.memory.shape[2])

    def part(self, rows: Any) -> tick.State:
        """A copy of the engine's state of some rows (a view for a slice)."""
        return tick.State._make(array[rows] for array in self.state)

    def put(self, rows: Any, part: tick.State) -> None:
        for j in range(len(part)):
            self.state[j][rows] = part[j]


class Column(NamedTuple):
    """An array, piece by piece along its first axis."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Iterator[NDArray[Any]]


class Fleet:
    """Rows of one selection. Not thread-safe."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.digests: Digests = np.empty((0, 2), np.uint64)
        self.live: BoolArray = np.empty(0, np.bool_)
        self.counter: BoolArray = np.empty(0, np.bool_)
        self.at: IntArray = np.empty(0, np.int64)  # ns, of the last sample used
        self.raw: FloatArray = np.empty(0)  # its value
        self.score: Single = np.empty(0, np.float32)  # at the last sample; NaN while warming
        self.peak: Single = np.empty(0, np.float32)  # of the last alert
        self.peak_at: Seconds = np.empty(0, np.uint32)
        self.filled: Seconds = np.empty(0, np.uint32)  # the slot of the last sample used
        self._free: dict[int, list[int]] = {memory: [] for memory in SIZES}  # descending
        self._index = digests.build(self.digests, np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(np.count_nonzero(self.live))

    @property
    def rows(self) -> IntArray:
        return np.flatnonzero(self.live)

    @property
    def learnt(self) -> IntArray:
        """How many samples each live row has learnt from; below `tick.WARM` it is warming and not scored yet."""
        each = (
            tick.samples(b.state)[: b.used][self.live[b.first : b.first + b.used]].astype(np.int64) for b in self.blocks
        )
        return np.concatenate([np.empty(0, np.int64), *each])

    @property
    def state_bytes(self) -> int:
        """What the live rows take: the engine's state and this class' own columns."""
        own = sum(column.itemsize * column.size // max(len(column), 1) for column in self._columns().values())
        return sum(
            (b.state.bytes_per_series + own) * int(np.count_nonzero(self.live[b.first : b.first + b.used]))
            for b in self.blocks
        )

    def find(self, wanted: Digests) -> IntArray:
        """Rows of digests, -1 where there is none."""
        return digests.find(self._index, self.digests, wanted)

    def add(self, wanted: Digests, counter: BoolArray, memory: int, since_s: int) -> IntArray:
        """Rows for new series, whose samples after `since_s` will be used; lowest rows first."""
        self._reserve(memory, len(wanted))
        free = self._free[memory]
        rows = np.array([free.pop() for _ in range(len(wanted))], np.int64)
        self.digests[rows], self.counter[rows], self.live[rows] = wanted, counter, True
        self.at[rows], self.raw[rows] = since_s * NS, np.nan
        self.score[rows], self.peak[rows], self.peak_at[rows], self.filled[rows] = np.nan, 0, 0, 0
        for block, local in self._split(rows):
            block.used = max(block.used, int(local[-1]) + 1)
        if digests.roomy(self._index, len(self)):
            digests.add(self._index, self.digests, rows)
        else:
            self._index = digests.build(self.digests, self.rows)
        return rows

    def drop(self, rows: IntArray) -> None:
        """Forget series; their rows are as if never seen."""
        for block, local in self._split(np.sort(rows)):
            block.put(local, tick.fresh(len(local), memory=block.memory))
            self._free[block.memory] = sorted(
                {*self._free[block.memory], *(local + block.first).tolist()}, reverse=True
            )
        self.live[rows] = False
        self._index = digests.build(self.digests, self.rows)

    def walk(self, samples: Samples, rows: IntArray, grid_s: IntArray, lead: int, step_s: int, tolerance: int) -> None:
        """Advance every block along `grid_s` by `samples`, of which series k has row `rows[k]` (-1 = none).

        The first `lead` times were walked before: only rows that samples came late for go there again.
        """
        order = np.argsort(rows, kind="stable")
        bounds = rows[order]
        for block in self.blocks:
            part = slice(block.first, block.first + block.used)
            series = order[slice(*np.searchsorted(bounds, [part.start, part.stop]))]
            values = np.full((block.used, len(grid_s)), np.nan)
            self._place(samples, series, rows[series] - block.first, part, grid_s, step_s, tolerance, values)
            late = np.flatnonzero(np.isfinite(values[:, :lead]).any(axis=1))
            if len(late):
                self._advance(block, late, grid_s[:lead], values[late, :lead], step_s)
            if lead < len(grid_s):
                self._advance(
                    block, slice(0, block.used), grid_s[lead:], np.ascontiguousarray(values[:, lead:]), step_s
                )

    def walk_some(self, samples: Samples, rows: IntArray, grid_s: IntArray, step_s: int, tolerance: int) -> None:
        """As `walk`, of the rows in `rows` alone: the others learn nothing of the time, not even that it has passed."""
        series = np.flatnonzero(rows >= 0)
        for block, local in self._split(np.unique(rows[series])):
            mine = series[(rows[series] >= block.first) & (rows[series] < block.first + block.used)]
            part = slice(block.first, block.first + block.used)
            values = np.full((block.used, len(grid_s)), np.nan)
            self._place(samples, mine, rows[mine] - block.first, part, grid_s, step_s, tolerance, values)
            self._advance(block, local, grid_s, values[local], step_s)

    def _place(
        self,
        samples: Samples,
        series: IntArray,
        rows: IntArray,
        part: slice,
        grid_s: IntArray,
        step_s: int,
        tolerance: int,
        out: FloatArray,
    ) -> None:
        columns = self.counter[part], self.at[part], self.raw[part], self.filled[part]
        s = samples
        slots.place(s.starts, s.times, s.values, series, rows, *columns, grid_s, step_s * NS, tolerance, out)

    def _advance(self, block: Block, local: Any, grid_s: IntArray, values: FloatArray, step_s: int) -> None:
        """Let the engine walk some rows of a block (in place for a slice), and note their scores."""
        state = block.part(local)
        ticks = tick.advance(state, grid_s, values)
        rows: Any
        if isinstance(local, slice):
            rows = slice(block.first + local.start, block.first + local.stop)
        else:
            block.put(local, state)
            rows = local + block.first
        seen = np.isfinite(values)
        last = values.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        now = np.take_along_axis(ticks.score, last[:, None], axis=1)[:, 0]
        lost = grid_s[-1] * NS - self.at[rows] > _LOST * step_s * NS
        score = np.where(seen.any(axis=1), now, np.where(lost, 0.0, self.score[rows]))
        self.score[rows] = np.where(tick.samples(state) < tick.WARM, np.nan, score)
        # Only a sample alerts: instances come and go, and their series with them.
        alerts = np.where(seen, ticks.score, 0.0)
        best = np.argmax(alerts, axis=1)
        most = np.take_along_axis(alerts, best[:, None], axis=1)[:, 0]
        fired = most >= 1.0
        self.peak[rows] = np.where(fired, most, self.peak[rows])
        self.peak_at[rows] = np.where(fired, grid_s[best], self.peak_at[rows])

    def expired(self, before_s: int) -> IntArray:
        """Rows whose last sample is older."""
        return np.flatnonzero(self.live & (self.at < before_s * NS))

    def expected(self, rows: IntArray, time_s: int) -> FloatArray:
        """(3, N) mean, lower and upper expected at a time; changes nothing."""
        out = np.full((3, len(rows)), np.nan)
        ordered = np.sort(rows)
        places = {int(row): k for k, row in enumerate(rows)}
        for block, local in self._split(ordered):
            told = np.stack(tick.peek(block.part(local), time_s))
            out[:, [places[int(row)] for row in local + block.first]] = told
        return out

    # ------------------------------------------------ saving

    def kept(self) -> Iterator[tuple[str, Column]]:
        """The live rows, tier by tier in row order, one column after the other and each in pieces: nothing is copied whole."""
        for memory in SIZES:
            blocks = [b for b in self.blocks if b.memory == memory]
            rows = [np.flatnonzero(self.live[b.first : b.first + b.used]) for b in blocks]
            where = np.concatenate([np.empty(0, np.int64), *(b.first + r for b, r in zip(blocks, rows, strict=True))])
            for name, column in self._columns().items():
                yield f"{memory}.{name}", Column(column.dtype, (len(where), *column.shape[1:]), iter([column[where]]))
            for j, (name, empty) in enumerate(tick.fresh(0, memory=memory)._asdict().items()):
                pieces = (b.state[j][r] for b, r in zip(blocks, rows, strict=True))
                yield f"{memory}.{name}", Column(empty.dtype, (len(where), *empty.shape[1:]), pieces)

    def take(self, kept: Callable[[str], Column]) -> None:
        """Rows as `kept` gave them, by name, into an empty fleet. ValueError where they don't fit."""
        for memory in SIZES:
            count = kept(f"{memory}.digests").shape[0]

            def column(name: str, like: NDArray[Any], tier: int = memory, rows: int = count) -> Iterator[NDArray[Any]]:
                found, shape = kept(f"{tier}.{name}"), (rows, *like.shape[1:])
                if (found.dtype, found.shape) != (like.dtype, shape):
                    raise ValueError(f"{name} is {found.dtype} {found.shape}, not {like.dtype} {shape}")
                return found.pieces

            def whole(name: str, like: NDArray[Any], column: Any = column) -> NDArray[Any]:
                return np.concatenate([like[:0], *column(name, like)])

            rows = self.add(whole("digests", self.digests), whole("is_counter", self.counter), memory, 0)
            for name in _OWN:
                getattr(self, name)[rows] = whole(name, getattr(self, name))
            for j, (name, like) in enumerate(tick.fresh(0, memory=memory)._asdict().items()):
                done = 0
                for piece in column(name, like):
                    self._fill(rows[done : done + len(piece)], j, piece)
                    done += len(piece)

    def _fill(self, rows: IntArray, j: int, piece: NDArray[Any]) -> None:
        """Put a piece of a column of the engine's state where `rows` are."""
        done = 0
        for block, local in self._split(rows):
            block.state[j][local] = piece[done : done + len(local)]
            done += len(local)

    def _columns(self) -> dict[str, NDArray[Any]]:
        names = ("digests", *_OWN)
        return {name: getattr(self, name) for name in names} | {"is_counter": self.counter}

    # ------------------------------------------------ rows and blocks

    def _split(self, rows: IntArray) -> Iterator[tuple[Block, IntArray]]:
        """Ascending rows by block, each counted from its block's first."""
        for block in self.blocks:
            first, last = np.searchsorted(rows, [block.first, block.first + len(block.state.scalars)])
            if last > first:
                yield block, rows[first:last] - block.first

    def _reserve(self, memory: int, rows: int) -> None:
        while len(self._free[memory]) < rows:
            first, size = len(self.at), SIZES[memory]
            self.blocks.append(Block(first, tick.fresh(size, memory=memory)))
            for name in ("digests", "live", "counter", *_OWN):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros((size, *column.shape[1:]), column.dtype)]))
            self._free[memory] = [*range(first + size - 1, first - 1, -1), *self._free[memory]]
