"""The stream: every series of a selection forecast, banded and scored at every step, exactly once.

    tick:  for each selection   read the steps since the last read -> rows -> grid -> engine -> scores, forecasts
    save:  engine, rows, names and how far each selection is, in one file

A step is evaluated once its samples may have come. What was evaluated is never learnt again: after a restart, from a state saved
earlier, the same points lead to the same state, bit for bit. What can't be read now is read later, as far back as the plan says;
beyond that it is a gap, which is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aiops.domain import NS, BoolArray, from_ns
from aiops.errors import DataError, SourceBusy, SourceError, StoreError
from aiops.flows.watch import saved, shown
from aiops.flows.watch.fleet import Fleet
from aiops.flows.watch.names import Names
from aiops.flows.watch.plan import EVERYTHING, Plan
from aiops.flows.watch.selection import Selection
from aiops.kernels.digests import Digests
from aiops.ports import MetricsSource
from aiops.schema.exposition import Family

__all__ = ["EVERYTHING", "Fleet", "Names", "Plan", "Watch", "saved", "state_file"]

log = logging.getLogger(__name__)


def state_file(home: Path, plan: Plan) -> Path:
    """Where the state of a plan is kept."""
    return home / f"{plan.name}.npz"


class Watch:
    """A plan under way. `file`: where its state is kept; None keeps none. One thread at a time may call it.

    Goes on where the file stops. A file that can't be gone on with is moved aside and told; StoreError when it can't even be moved.
    """

    def __init__(self, source: MetricsSource, plan: Plan, file: Path | None, now_s: float) -> None:
        self._source, self.plan, self._file = source, plan, file
        self.tally = shown.Tally()
        self._begin(now_s)
        self._resume(now_s)

    def tick(self, now_s: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Evaluates what there is to evaluate at `now_s`; `stopped` is asked between reads. Failures are counted and told."""
        began = time.monotonic()
        last = self._last(now_s)
        for selection in self.selections:
            self._bound(selection, last)
            try:
                self._catch_up(selection, last, stopped)
            except SourceError as error:
                self._failed(selection, error)
                selection.tried = last
        self.tally.ticks += 1
        self.tally.seconds = time.monotonic() - began

    def next_s(self, now_s: float) -> float:
        """When the next step can be evaluated."""
        return self._last(now_s) + self.plan.step_s + self.plan.tolerance_ns / 1e9

    def families(self) -> list[Family]:
        """What there is to expose, but for the lag."""
        return shown.families(self.selections, self.names, self.tally)

    def summary(self) -> list[str]:
        """A line for each selection: how many series are scored, and how far the others are."""
        return [shown.summary(selection) for selection in self.selections]

    @property
    def untils(self) -> dict[str, int]:
        """How far each selection is evaluated."""
        return {selection.query: selection.until for selection in self.selections}

    @property
    def ready(self) -> bool:
        """Whether every selection was read."""
        return not any(selection.fresh for selection in self.selections)

    def save(self, now_s: float) -> None:
        """Writes the state; a failure is counted and told, the file that was there stays, and the watch goes on."""
        if self._file is None:
            return
        head = {
            **self.plan.identity(),
            "selections": [{"until": s.until, "fresh": s.fresh} for s in self.selections],
            "names": self.names.kept(),
        }
        columns = ((f"{k}.{name}", column) for k, s in enumerate(self.selections) for name, column in s.fleet.kept())
        try:
            saved.write(self._file, head, columns)
            self.tally.saved_at = now_s
        except StoreError as error:
            self.tally.errors["state"] += 1
            log.error("%s; the state saved before is left as it is", error)  # noqa: TRY400 - the message says it all

    # ------------------------------------------------ one tick

    def _last(self, now_s: float) -> int:
        """The newest step whose samples may all have come."""
        return int((now_s - self.plan.tolerance_ns / 1e9) // self.plan.step_s) * self.plan.step_s

    def _bound(self, selection: Selection, last: int) -> None:
        """Leaves out what lies too far back."""
        floor = last - self.plan.catch_up_s // self.plan.step_s * self.plan.step_s
        if selection.until < floor:
            if not selection.fresh:
                self.tally.gaps += 1
                self.tally.skipped_s += floor - selection.until
                log.warning(
                    "%s: nothing between %s and %s is evaluated, since that is more than %d s ago (watch.catch_up_s)",
                    selection.query,
                    _told(selection.until),
                    _told(floor),
                    self.plan.catch_up_s,
                )
            selection.skip(floor)

    def _catch_up(self, selection: Selection, last: int, stopped: Callable[[], bool]) -> None:
        pull, step = self.plan.pull, self.plan.step_s
        while True:
            began, interval = time.monotonic(), pull * selection.pace.stretch * step
            if last - max(selection.until, selection.tried) < interval or stopped():
                break
            late = last - selection.until >= 2 * interval
            selection.read(self._source, selection.steps(last), self.names, self._elsewhere(selection))
            # While it catches up a read brings more than it usually would, and says nothing about the pace.
            if not late and selection.pace.served(time.monotonic() - began, interval):
                self._paced(selection)
        if selection.pace.stretch > 1 and not stopped():
            selection.read_hot(self._source, last)

    def _elsewhere(self, selection: Selection) -> Callable[[Digests], BoolArray]:
        """Whether series are watched in another selection already."""
        others = [other.fleet for other in self.selections if other is not selection]

        def known(wanted: Digests) -> BoolArray:
            found = np.zeros(len(wanted), np.bool_)
            for fleet in others if len(wanted) else ():
                found |= fleet.find(wanted) >= 0
            return found

        return known

    def _failed(self, selection: Selection, error: SourceError) -> None:
        self.tally.errors["metrics"] += 1
        log.warning("%s; evaluated up to %s so far", error, _told(selection.until))
        if isinstance(error, SourceBusy) and selection.pace.pushed_back(error.came_back):
            self._paced(selection)

    def _paced(self, selection: Selection) -> None:
        pace = selection.pace
        log.info(
            "%s: read every %d steps now%s",
            selection.query,
            self.plan.pull * pace.stretch,
            pace.reason and f": {pace.reason}",
        )

    # ------------------------------------------------ beginning

    def _begin(self, now_s: float) -> None:
        since = self._last(now_s) - self.plan.catch_up_s // self.plan.step_s * self.plan.step_s
        self.names = Names(self.plan.many, self.plan.buckets)
        self.selections = [Selection(query, self.plan, since) for query in self.plan.queries]

    def _resume(self, now_s: float) -> None:
        """Takes up the saved state; what can't be is moved aside, so that the next save doesn't destroy it."""
        if self._file is None or not self._file.exists():
            return
        try:
            self._take(self._file, now_s)
        except DataError as error:
            self._begin(now_s)
            self.tally.errors["state"] += 1
            log.error("%s. It is kept as %s; the watch starts afresh", error, saved.aside(self._file))  # noqa: TRY400 - as above

    def _take(self, file: Path, now_s: float) -> None:
        ours = self.plan.identity()
        with saved.opened(file) as (kept, column):
            head = {
                "shard": [1, 1],
                "shard_by": "",
                **kept,
            }  # what was saved before there were shards, and a label for them
            if other := [
                f"{name} {head[name]!r}, not {value!r}" for name, value in ours.items() if head[name] != value
            ]:
                raise DataError(f"{file} holds the state of another selection: {'; '.join(other)}")
            for k, (selection, told) in enumerate(zip(self.selections, head["selections"], strict=True)):
                selection.fleet.take(lambda name, k=k: column(f"{k}.{name}"))  # type: ignore[misc]  # `k` at this moment
                selection.until, selection.fresh = int(told["until"]), bool(told["fresh"])
                if selection.until > now_s + self.plan.catch_up_s:
                    raise DataError(
                        f"{file} was evaluated up to {_told(selection.until)}, and it is {_told(int(now_s))} now: "
                        "this clock is wrong, or the one then was"
                    )
            self.names.take(head["names"])


def _told(at_s: int) -> str:
    return from_ns(at_s * NS).isoformat()
