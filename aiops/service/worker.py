"""A worker: claims jobs that its labels fit, does them, says how they ended; keeps its leases and gives up others' expired ones.

`embedded` is the one inside `aiops serve`, which stores what it makes; `apart` is a process of its own, which hands over through
the queue how each job ended (collect.py). Who stores a diagnosis counts it, so that it is counted once: `aiops serve`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aiops.domain import Actor, Job, JobState, Presence, Result, Verdict
from aiops.errors import AiopsError, SourceUnreachable, StoreError
from aiops.flows.work import Hand
from aiops.kernels import compiled
from aiops.ops import Ops
from aiops.ports import JobQueue
from aiops.schema import wire
from aiops.service.metrics import Labelled, Registry, gauge
from aiops.telemetry import Watcher, diagnosis, took

log = logging.getLogger(__name__)

LEASE_S = 45.0  # a worker that has been silent for this long is dead
HEARTBEAT_S = 15.0
RECLAIM_S = 5.0  # how long a lease that has expired may go unnoticed
IDLE_S = 0.5  # how long a job put by another process may wait; `wake` ends the wait at once
PAUSE_S = 1.0  # after the queue could not be read; at least that long after no source could
AGAIN_S = 5.0  # after no source could be read; something new in the queue ends it
PATIENCE_S = 600.0  # how long alerts then wait for one to be back
BROKEN = "internal error; the log of the server has the details"


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a worker works: which jobs it may have, how many at once, and who watches each."""

    labels: tuple[str, ...] = ()
    jobs: int = 1
    watchers: tuple[Watcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended; `result` is what a worker apart hands over. `told` is called once it has been heard."""

    state: JobState
    message: str = ""
    result: bytes = b""
    told: Callable[[], None] = lambda: None


Progress: TypeAlias = Callable[[int, int], None]
Perform: TypeAlias = Callable[[Job, Progress], Outcome]  # raises StoreError where the job is not to blame


def _nothing() -> None:
    """Nobody waits for it."""


def name() -> str:
    """What a worker is called: one of this name in each process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def embedded(ops: Ops, registry: Registry, terms: Terms | None = None, stored: Callable[[], None] = _nothing) -> Worker:
    """A worker that stores reports by itself; `stored` is called after each."""
    mine = ops.by(Actor("worker", name()))

    def perform(job: Job, progress: Progress) -> Outcome:
        report = mine.run(job.task, job.id, progress)
        return Outcome(state_of(report.verdict), told=stored)

    return Worker(ops.queue, perform, registry, terms or Terms())


def apart(hand: Hand, registry: Registry, terms: Terms) -> Worker:
    """A worker whose results `aiops serve` stores."""

    def perform(job: Job, progress: Progress) -> Outcome:
        verdict, result = hand.make(job, name(), progress)
        return Outcome(state_of(verdict), result=wire.packed(result))

    return Worker(hand.queue, perform, registry, terms, apart=True)


def count(registry: Registry, state: JobState, seconds: float | None, stages: Mapping[str, float]) -> None:
    """A diagnosis has ended, for /metrics: told once, by the process that stores it. None where nobody knows how long it took."""
    registry.count("aiops_diagnoses_total", status=state)
    if seconds is not None:
        registry.observe("aiops_diagnosis_seconds", seconds, status=state)
    registry.stages(stages)


def state_of(verdict: Verdict) -> JobState:
    """How the job of a report ended."""
    return JobState.DONE if verdict is Verdict.FOUND else JobState.INCONCLUSIVE


class Worker:
    """`terms.jobs` jobs at a time, each in a thread of its own. `start` once, then `stop` once."""

    def __init__(
        self, queue: JobQueue, perform: Perform, registry: Registry, terms: Terms, *, apart: bool = False
    ) -> None:
        self._queue, self._perform, self._registry, self._terms, self._apart = queue, perform, registry, terms, apart
        self._name = name()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._running: dict[str, Job] = {}
        self._progress: dict[str, tuple[int, int]] = {}
        self._away: float | None = None  # since when no source could be read
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{i}", daemon=True) for i in range(terms.jobs)
        ]
        self._keeper = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

    @property
    def up(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @property
    def presence(self) -> Presence:
        """What it tells of itself."""
        return Presence(self._name, self._terms.labels, self._terms.jobs, len(self._running), self.up)

    def progress(self, job_id: str) -> tuple[int, int] | None:
        """(done, of) of a job that runs here and tells it."""
        return self._progress.get(job_id)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self._keeper.start()

    def wake(self) -> None:
        """Something was put in the queue."""
        self._wake.set()

    def stop(self, drain_s: float) -> bool:
        """Takes no further job and waits for those in hand; what does not end in time goes back to the queue.

        Returns whether all have ended."""
        end = time.monotonic() + drain_s
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        self._keeper.join(1.0)
        try:
            for job in list(self._running.values()):
                log.warning("diagnosis %s did not end within %.0f s: it goes back to the queue", job.id, drain_s)
                self._queue.ack(job, JobState.QUEUED)
            self._queue.announce(self.presence, 0)
        except StoreError as error:  # then the leases run out
            log.warning("the queue can't be told of the end: %s", error)
        return not self.up

    def _work(self) -> None:
        self._wake.wait(IDLE_S)  # the server answers first: the next line takes half a second of processor time
        compiled.load()
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                job = self._queue.claim(LEASE_S, self._name, self._terms.labels)
                if job is None:
                    self._wake.wait(IDLE_S)
                elif self._finish(job) is JobState.QUEUED:
                    self._stopping.wait(PAUSE_S)  # or each alert that comes in would have it tried again
                    self._wake.wait(AGAIN_S - PAUSE_S)  # what came in may be a question, which goes first
            except StoreError as error:
                # Not the job's fault: its lease runs out, and it is tried again.
                log.warning("the queue or the store can't be used: %s", error)
                self._stopping.wait(PAUSE_S)

    def _finish(self, job: Job) -> JobState:
        self._running[job.id] = job
        try:
            with diagnosis(job.id, *self._terms.watchers):
                return self._do(job, time.monotonic())
        finally:
            self._running.pop(job.id, None)
            self._progress.pop(job.id, None)

    def _do(self, job: Job, began: float) -> JobState:
        outcome = self._outcome(job)
        seconds, stages = time.monotonic() - began, took()
        self._registry.observe("aiops_job_seconds", seconds, status=outcome.state)
        # A claim that was lost has been taken over: who has it now reports its end.
        if self._heard(job, outcome, seconds, stages):
            if outcome.state is JobState.QUEUED:
                log.info("diagnosis %s is put off: %s", job.id, outcome.message)
                return outcome.state
            if not self._apart:
                count(self._registry, outcome.state, seconds, stages)
            log.info("diagnosis %s: %s %s", job.id, outcome.state, outcome.message)
            outcome.told()
        return outcome.state

    def _heard(self, job: Job, outcome: Outcome, seconds: float, stages: Mapping[str, float]) -> bool:
        if not self._apart or outcome.state is JobState.QUEUED:
            return self._queue.ack(job, outcome.state, outcome.message)
        failed = Result(self._name, b"", b"", seconds, stages, outcome.message)
        return self._queue.deliver(job, outcome.result or wire.packed(failed))

    def _outcome(self, job: Job) -> Outcome:
        try:
            outcome = self._perform(job, lambda done, of: self._note(job.id, done, of))
            self._away = None
            return outcome
        except StoreError:
            raise
        except AiopsError as error:
            return self._failed(job, error)
        except Exception:  # one diagnosis that breaks must not end the worker; the log has the traceback
            log.exception("diagnosis %s", job.id)
            return Outcome(JobState.FAILED, BROKEN)

    def _failed(self, job: Job, error: AiopsError) -> Outcome:
        """For good; but an alert whose sources are all away is diagnosed once one is back, since nobody will ask again."""
        if not (job.episode_id and isinstance(error, SourceUnreachable)):
            return Outcome(JobState.FAILED, str(error))
        self._away = self._away or time.monotonic()
        waits = time.monotonic() < self._away + PATIENCE_S
        return Outcome(JobState.QUEUED if waits else JobState.FAILED, str(error))

    def _note(self, job_id: str, done: int, of: int) -> None:
        self._progress[job_id] = done, of

    def _keep(self) -> None:
        beat = 0.0
        while True:
            try:
                if time.monotonic() >= beat:
                    self._beat()
                    beat = time.monotonic() + HEARTBEAT_S
                if expired := self._queue.reclaim():
                    self._registry.count("aiops_leases_expired_total", expired)
                    self._wake.set()
            except StoreError as error:
                log.warning("leases can't be kept: %s", error)
            if self._stopping.wait(min(RECLAIM_S, HEARTBEAT_S)):
                return

    def _beat(self) -> None:
        for job in list(self._running.values()):
            self._queue.renew(job, LEASE_S)
        if not self._stopping.is_set():
            self._queue.announce(self.presence, LEASE_S)


def gauges(workers: Iterable[Presence]) -> dict[Labelled, float]:
    """What there is to tell of each."""
    told: dict[Labelled, float] = {}
    for worker in workers:
        about = {"worker": worker.name, "labels": ",".join(worker.labels)}
        told[gauge("aiops_worker_up", **about)] = float(worker.alive)
        told[gauge("aiops_worker_busy", **about)] = float(worker.running)
        told[gauge("aiops_worker_capacity", **about)] = float(worker.capacity)
    return told
