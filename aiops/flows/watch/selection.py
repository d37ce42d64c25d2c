"""One selection under watch: what is read, into which rows, up to when, and how often.

Nothing here knows the clock: `read` is told up to when it may look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aiops.domain import NS, BoolArray, IntArray, Labels, Samples, TimeRange, from_ns, quote
from aiops.flows.watch.fleet import Fleet
from aiops.flows.watch.names import Names
from aiops.flows.watch.pace import Pace
from aiops.flows.watch.plan import Plan
from aiops.kernels import digests, tick
from aiops.kernels.counters import is_counter
from aiops.ports import MetricsSource
from aiops.schema import selector
from aiops.schema.selector import Matcher

POINTS = 4_000_000  # of one read, about, while catching up
FIRST = 10  # steps of the first read, which tells how many series there are
NEAR = 0.5  # the score from which a series is read at every step
HOT = 64  # series that are
ALTERNATIVES = 16  # values of a label by which they are asked for
OURS = Matcher("__name__", "!~", "aiops_(anomaly_score|forecast)")  # no scores of scores

Known = Callable[[digests.Digests], BoolArray]


@dataclass(slots=True)
class Selection:
    """`until`: evaluated up to this second. `ahead`: the hot series, up to this one. `texts`: rows that are exposed, and as what."""

    query: str
    plan: Plan
    until: int
    fleet: Fleet = field(default_factory=Fleet)
    pace: Pace = field(default_factory=Pace)
    texts: dict[int, str] = field(default_factory=dict)
    foreseen: dict[int, str] = field(default_factory=dict)  # rows whose forecast is exposed
    met: BoolArray = field(default_factory=lambda: np.empty(0, np.bool_))  # rows looked at for that
    hot: dict[int, Labels] = field(default_factory=dict)
    ahead: int = 0
    named: int = 0  # the version of the names in `texts`
    fresh: bool = True  # was never read
    tried: int = 0  # when reading it failed last
    refused: int = 0  # new series beyond the limit, at the last read
    gaps: Sequence[str] = ()  # what the source could not give, at the last read

    @property
    def matchers(self) -> tuple[Matcher, ...] | None:
        """Of a plain selector; None for an expression."""
        return selector.parse(self.query)

    @property
    def asked(self) -> str:
        """The query as it is sent: without this program's own output."""
        return _selector((*self.matchers, OURS)) if self.matchers else self.query

    def steps(self, last: int) -> int:
        """How many steps the next read may walk, at most up to `last`: few points at a time while catching up."""
        most = max(1, POINTS // len(self.fleet)) if len(self.fleet) else FIRST
        behind = (last - self.until) // self.plan.step_s
        return int(min(behind, max(most, self.plan.pull * self.pace.stretch), self.plan.most_steps))

    def read(self, source: MetricsSource, steps: int, names: Names, known: Known) -> None:
        """Reads and walks `steps` steps; raises SourceError, and then nothing has changed."""
        step, tolerance = self.plan.step_s, self.plan.tolerance_ns
        lead = 0 if self.fresh else self.plan.overlap_steps
        first = self.until - (lead - 1) * step
        grid = np.arange(first, self.until + steps * step + 1, step, dtype=np.int64)
        samples = self._samples(source, self.asked, first - step, int(grid[-1]))
        # For a new series as if its last sample had come long ago: its first one stands in its own slot.
        rows = self._rows(samples, first - 3 * step, names, known)
        names.judge(int(grid[-1]))
        self.fleet.walk(samples, rows, grid, lead, step, tolerance)
        self.until, self.fresh = int(grid[-1]), False
        self.gaps = [f"{gap.what}: {gap.why}" for gap in samples.gaps]
        self._expire()
        self._show(samples, rows, names)

    def read_hot(self, source: MetricsSource, last: int) -> None:
        """Reads the series near the threshold alone, up to `last`, while the others wait. Raises SourceError."""
        begin = max(self.ahead, self.until)
        if not self.hot or self.matchers is None or last <= begin:
            return
        step = self.plan.step_s
        grid = np.arange(begin + step, last + 1, step, dtype=np.int64)
        samples = self._samples(source, self._narrow(self.matchers), begin, int(grid[-1]))
        rows = self.fleet.find(digests.digests(samples.keys))
        rows[~np.isin(rows, list(self.hot))] = -1
        self.fleet.walk_some(samples, rows, grid, step, self.plan.tolerance_ns)
        self.ahead = int(grid[-1])

    def skip(self, until: int) -> None:
        """Leaves out the time up to `until`."""
        self.until = max(until, self.until)

    def _samples(self, source: MetricsSource, query: str, after: int, last: int) -> Samples:
        """Samples in (after, last + tolerance]; of an expression one at each step."""
        end = from_ns(last * NS + self.plan.tolerance_ns) + timedelta(milliseconds=1)
        plain = self.matchers is not None
        window = TimeRange(from_ns(after * NS) + timedelta(milliseconds=1), end)
        if plain and self.plan.shard_by and self.plan.shard[1] > 1:
            mine = self._mine(source, query, window)
            if not mine:
                return _NOTHING
            query = _selector((*(selector.parse(query) or ()), mine))
        step = None if plain else timedelta(seconds=self.plan.step_s)
        return source.samples(query, window, self.plan.timeout_s, step)

    def _mine(self, source: MetricsSource, query: str, window: TimeRange) -> Matcher | None:
        """What chooses this shard's series among those of the window; None where none are its own."""
        label = self.plan.shard_by
        told = source.label_values(label, query, window, self.plan.timeout_s)
        values = [value for value in ("", *told) if self.plan.has(value)]
        return Matcher(label, "=~", "|".join(map(re.escape, values))) if values else None

    # ------------------------------------------------ rows

    def _rows(self, samples: Samples, since: int, names: Names, known: Known) -> IntArray:
        """The row of each series; new ones get one, while there is room."""
        wanted = digests.digests(samples.keys)
        rows = self.fleet.find(wanted)
        new = self._own(samples, wanted, np.flatnonzero(rows < 0))
        new = new[~known(wanted[new])]
        room = max(self.plan.series - len(self.fleet), 0)
        self.refused, new = max(len(new) - room, 0), new[:room]
        tiers: dict[int, list[int]] = {0: [], tick.MEMORY: []}
        for k in new.tolist():
            names.learn(samples.labels[k])
            tiers[tick.MEMORY if self.plan.remembers(samples.labels[k]) else 0].append(k)
        for memory, mine in tiers.items():
            if mine:
                counter = np.array([self._counts(samples, k) for k in mine])
                rows[mine] = self.fleet.add(wanted[mine], counter, memory, since)
        self._foresee(samples, rows)
        return rows

    def _own(self, samples: Samples, wanted: digests.Digests, new: IntArray) -> IntArray:
        """Those of the `new` that belong to this shard."""
        if not self.plan.shard_by:
            return new[self.plan.mine(wanted[new])]
        values = [samples.labels[k].get(self.plan.shard_by, "") for k in new.tolist()]
        return new[np.array([self.plan.has(value) for value in values], np.bool_)]

    def _foresee(self, samples: Samples, rows: IntArray) -> None:
        """Notes the rows whose forecast is asked for, of those that this process has not met yet."""
        if self.plan.forecast:
            self.met = np.append(self.met, np.zeros(len(self.fleet.at) - len(self.met), np.bool_))
            for k in np.flatnonzero((rows >= 0) & ~self.met[rows]).tolist():
                if self.plan.foresees(samples.labels[k]):
                    self.foreseen[int(rows[k])] = ""
            self.met[rows[rows >= 0]] = True

    def _counts(self, samples: Samples, k: int) -> bool:
        values = samples.values[samples.starts[k] : samples.starts[k + 1]]
        name = samples.labels[k].get("__name__", "")
        # A new series may have but one sample; it is then taken for what its name says.
        return self.matchers is not None and is_counter(name, np.append(values, values[-1:]))

    def _expire(self) -> None:
        gone = self.fleet.expired(self.until - self.plan.expire_s)
        if len(gone):
            self.fleet.drop(gone)
            self.met[gone[gone < len(self.met)]] = False
            for row in gone.tolist():
                for held in (self.texts, self.foreseen, self.hot):
                    held.pop(row, None)

    # ------------------------------------------------ what is exposed, and what is hot

    def wanted(self) -> IntArray:
        """Rows whose score is exposed: all while they are few enough, else those near the threshold."""
        rows = self.fleet.rows
        return rows if len(rows) <= self.plan.limit else rows[self.scores()[rows] >= self.plan.floor]

    def scores(self) -> NDArray[np.float32]:
        """(R,) by row: the score, or for a while after an alert the highest since."""
        held = self.fleet.peak_at > self.until - self.plan.hold_s
        return np.where(held, np.maximum(self.fleet.peak, self.fleet.score), self.fleet.score)

    def _show(self, samples: Samples, rows: IntArray, names: Names) -> None:
        """Names the rows that are exposed from now on, while their labels are at hand, and chooses the hot ones."""
        if names.version != self.named:
            self.named, self.texts, self.foreseen = names.version, {}, dict.fromkeys(self.foreseen, "")
        place = np.full(len(self.fleet.at), -1)
        place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)

        def text(row: int, known: str) -> str:
            return known or (names.text(samples.labels[place[row]], self.query) if place[row] >= 0 else "")

        self.texts = {row: text(row, self.texts.get(row, "")) for row in self.wanted().tolist()}
        self.foreseen = {row: text(row, known) for row, known in self.foreseen.items()}
        scores = self.scores()
        near = self.fleet.rows[scores[self.fleet.rows] >= NEAR]
        near = near[place[near] >= 0]
        hottest = near[np.lexsort((self.fleet.digests[near, 0], -scores[near]))][:HOT]
        self.hot = {row: samples.labels[place[row]] for row in hottest.tolist()}
        self.ahead = self.until

    def _narrow(self, matchers: tuple[Matcher, ...]) -> str:
        """A selector of the hot series, and of as few others as labels with few values can tell apart."""
        added = []
        for name in filter(selector.LABEL.fullmatch, sorted(set.intersection(*map(set, self.hot.values())))):
            values = sorted({labels[name] for labels in self.hot.values()})
            if len(values) <= ALTERNATIVES:
                added.append(Matcher(name, "=~", "|".join(map(re.escape, values))))
        return _selector((*matchers, OURS, *added))


_NOTHING = Samples((), (), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))


def _selector(matchers: Sequence[Matcher]) -> str:
    return f"{{{','.join(f'{name}{operator}{quote(value)}' for name, operator, value in matchers)}}}"
