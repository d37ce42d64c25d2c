"""What folds notifications into episodes and begins their diagnoses when they are due: two threads beside the intake.

Episodes live by a clock that runs on evenly from the start of the process, whatever is done to that of the machine; what a
former process has written is brought in line with it once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from aiops.domain import Episode, Job, Notification
from aiops.errors import AiopsError
from aiops.flows import begin, fold
from aiops.flows.fold import Policy, Receipt
from aiops.flows.mute import Muting, Quiet, matched
from aiops.flows.near import Near
from aiops.ops import Ops
from aiops.service.metrics import Labelled, Registry, gauge

log = logging.getLogger(__name__)

TICK_S = 0.1  # how long a diagnosis that is due may wait
PAUSE_S = 1.0  # after the store or the queue could not be used
SILENCES_S = 15.0  # how long a silence that was just made may go unnoticed
SILENCES_TIMEOUT_S = 5.0
SELDOM_S = 5.0  # how often it is looked for what has expired, and what is kept quiet no longer


class Folder:
    """`start` once, then `stop` once; `accept` from one thread. `wake` is called when there is something in the queue."""

    def __init__(self, ops: Ops, registry: Registry, wake: Callable[[], None]) -> None:
        self._ops, self._registry, self._wake = ops, registry, wake
        self._began = datetime.now(UTC), time.monotonic()
        self._quiet = Quiet(ops.alerting.maintenance)
        near = Near(ops.sources.graph, ops.folding.hops)
        self._policy = Policy(ops.rules.entities, ops.alerting, ops.folding, near, self._muting, self._count)
        self._stopping, self._told = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._run, name="folder", daemon=True)]
        if ops.silences is not None:
            self._threads.append(threading.Thread(target=self._listen, name="silences", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What is due by then begins at the next start."""
        self._stopping.set()
        self._threads[0].join()  # the other one may be asking, and nobody waits for its answer

    def accept(self, notifications: Sequence[Notification]) -> Sequence[Receipt]:
        """As `fold.accept`."""
        return fold.accept(notifications, self._policy, self._ops.store, self._ops.queue, self._now())

    def begin(self, episode_id: str) -> Job:
        """As `begin.start`."""
        job = begin.start(episode_id, self._policy, self._ops.store, self._ops.queue, self._now())
        self._wake()
        return job

    def wait_s(self, episode: Episode) -> float | None:
        """Seconds until its next diagnosis is due; None where none is."""
        return max((episode.due - self._now()).total_seconds(), 0.0) if episode.due else None

    def figures(self) -> dict[Labelled, float]:
        """How many episodes there are, for /metrics."""
        return {gauge("aiops_episodes", state=state): float(n) for state, n in self._ops.store.figures().items()}

    def _now(self) -> datetime:
        began, then = self._began
        return began + timedelta(seconds=time.monotonic() - then)

    def _count(self, event: str, number: int) -> None:
        if number:
            self._registry.count("aiops_episodes_total", number, event=event)

    def _muting(self) -> Muting:
        """Windows and silences go by the clock on the wall."""
        return self._quiet.at(datetime.now(UTC))

    def _run(self) -> None:
        if self._ops.silences is not None:
            self._told.wait(SILENCES_TIMEOUT_S)
        settled, seldom, pause = False, 0.0, 0.0
        while not self._stopping.wait(pause):
            try:
                if not settled:
                    self._settle()
                    settled = True
                if time.monotonic() >= seldom:
                    self._tidy()
                    seldom = time.monotonic() + SELDOM_S
                if begin.begin_due(self._policy, self._ops.store, self._ops.queue, self._now()):
                    self._wake()
                pause = TICK_S
            except AiopsError as error:
                log.warning("no diagnosis can be begun: %s", error)
                pause = PAUSE_S
            except Exception:  # one episode that breaks must not end the thread; the log has the traceback
                log.exception("folder")
                pause = PAUSE_S

    def _settle(self) -> None:
        now, terms = self._now(), self._ops.folding
        latest = now + max(terms.debounce, terms.cooldown)
        self._ops.store.fold(lambda ledger: ledger.settle(latest), now)

    def _tidy(self) -> None:
        now = self._now()
        before = now - self._ops.folding.expire
        self._count("expired", self._ops.store.fold(lambda ledger: ledger.expire(before), now))
        begin.listen_again(self._policy, self._ops.store, now)

    def _listen(self) -> None:
        """Reads silences now and then. While nobody answers, those that are known go on until they end."""
        assert self._ops.silences
        while True:
            try:
                silences = matched(self._ops.silences.read(SILENCES_TIMEOUT_S))
                self._quiet = Quiet(self._ops.alerting.maintenance, silences)
            except AiopsError as error:
                log.warning("silences can't be read: %s", error)
            self._told.set()
            if self._stopping.wait(SILENCES_S):
                return
