"""The embedded worker: claims jobs, runs them, says how they ended; keeps its lease and gives up others' expired ones."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from aiops.domain import Actor, Job, JobState, Report, Verdict
from aiops.errors import AiopsError, SourceError, StoreError
from aiops.ops import Ops
from aiops.service.metrics import Registry

log = logging.getLogger(__name__)

LEASE_S = 45.0
HEARTBEAT_S = 15.0
IDLE_S = 0.5  # how long a job put by another process may wait; `wake` ends the wait at once
PAUSE_S = 1.0  # after the queue could not be read


class Worker:
    """One job at a time, in a thread of its own. `start` once, then `stop` once."""

    def __init__(self, ops: Ops, registry: Registry, external_url: str = "") -> None:
        self._registry, self._external_url = registry, external_url.rstrip("/")
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._ops = ops.by(Actor("worker", self._name))
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._current: Job | None = None
        self._progress: tuple[str, int, int] | None = None
        self._worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self._keeper = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

    @property
    def up(self) -> bool:
        return self._worker.is_alive()

    @property
    def busy(self) -> bool:
        return self._current is not None

    def progress(self, job_id: str) -> tuple[int, int] | None:
        """(done, of) of a job that runs here and tells it."""
        told = self._progress
        return told[1:] if told is not None and told[0] == job_id else None

    def start(self) -> None:
        self._worker.start()
        self._keeper.start()

    def wake(self) -> None:
        """Something was put in the queue."""
        self._wake.set()

    def stop(self, drain_s: float) -> bool:
        """Takes no further job and waits for the one in hand; what does not end in time goes back to the queue.

        Returns whether the worker has ended."""
        self._stopping.set()
        self._wake.set()
        self._worker.join(drain_s)
        left = self._current
        if self._worker.is_alive() and left:
            log.warning("diagnosis %s did not end within %.0f s: it goes back to the queue", left.id, drain_s)
            self._ops.queue.ack(left, JobState.QUEUED)
        return not self._worker.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                job = self._ops.queue.claim(LEASE_S, self._name)
                if job is None:
                    self._wake.wait(IDLE_S)
                else:
                    self._finish(job)
            except StoreError as error:
                # Not the job's fault: its lease runs out, and it is tried again.
                log.warning("the queue or the store can't be used: %s", error)
                self._stopping.wait(PAUSE_S)

    def _finish(self, job: Job) -> None:
        self._current, began = job, time.monotonic()
        try:
            state, message, report = self._outcome(job)
            # A claim that was lost has been taken over: who has it now reports its end.
            if self._ops.queue.ack(job, state, message):
                self._registry.count("aiops_diagnoses_total", status=state)
                self._registry.observe("aiops_diagnosis_seconds", time.monotonic() - began, status=state)
                log.info("diagnosis %s: %s %s", job.id, state, message)
                if report:
                    self._tell(report)
        finally:
            self._current = self._progress = None

    def _outcome(self, job: Job) -> tuple[JobState, str, Report | None]:
        try:
            report = self._ops.run(job.task, job.id, lambda done, of: self._note(job.id, done, of))
        except StoreError:
            raise
        except AiopsError as error:
            return JobState.FAILED, str(error), None
        except Exception:  # one diagnosis that breaks must not end the worker; the log has the traceback
            log.exception("diagnosis %s", job.id)
            return JobState.FAILED, "internal error; the log of the server has the details", None
        return JobState.DONE if report.verdict is Verdict.FOUND else JobState.INCONCLUSIVE, "", report

    def _note(self, job_id: str, done: int, of: int) -> None:
        self._progress = job_id, done, of

    def _tell(self, report: Report) -> None:
        """Posts the three lines and the link, in the diagnosis' own thread. A chat that is away costs no diagnosis."""
        if self._ops.chat is None:
            return
        lines = (*report.summary, f"{self._external_url}/reports/{report.id}")
        try:
            self._ops.chat.post(report.id, "\n".join(lines))
        except SourceError as error:
            log.warning("the chat can't be reached: %s", error)

    def _keep(self) -> None:
        while not self._stopping.wait(HEARTBEAT_S):
            try:
                if job := self._current:
                    self._ops.queue.renew(job, LEASE_S)
                if expired := self._ops.queue.reclaim():
                    self._registry.count("aiops_leases_expired_total", expired)
                    self._wake.set()
            except StoreError as error:
                log.warning("leases can't be kept: %s", error)
