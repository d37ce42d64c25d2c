"""Takes what workers elsewhere have handed over, stores it, and only then ends their jobs.

A crash between the two leads to the same report being stored again under its id: none is lost, none is there twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from aiops.domain import Job, JobState, Report, Result
from aiops.errors import AiopsError, StoreError
from aiops.ops import Ops
from aiops.schema import wire
from aiops.service.metrics import Registry
from aiops.service.worker import BROKEN, IDLE_S, PAUSE_S, count, state_of
from aiops.telemetry import diagnosis

log = logging.getLogger(__name__)


class Collector:
    """A thread between `start` and `stop`; `stored` is called after each report."""

    def __init__(self, ops: Ops, registry: Registry, stored: Callable[[], None]) -> None:
        self._ops, self._registry, self._stored_one = ops, registry, stored
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the result in hand; what waits is still there at the next start."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                waiting = self._ops.queue.delivered()
                for job, data in waiting:
                    self._take(job, data)
                    if self._stopping.is_set():
                        return
                pause = 0.0 if waiting else IDLE_S
            except StoreError as error:
                log.warning("results can't be taken: %s", error)
                pause = PAUSE_S

    def _take(self, job: Job, data: bytes) -> None:
        with diagnosis(job.id):
            self._store(job, data)

    def _store(self, job: Job, data: bytes) -> None:
        state, message, report, made = self._stored(job, data)
        if self._ops.queue.ack(job, state, message):
            self._registry.count("aiops_results_total", status=state)
            count(self._registry, state, made.seconds if made else None, made.stages if made else {})
            log.info("diagnosis %s: %s %s", job.id, state, message)
            if report:
                self._stored_one()

    def _stored(self, job: Job, data: bytes) -> tuple[JobState, str, Report | None, Result | None]:
        made = None
        try:
            made = wire.unpacked(data, Result)
            if made.failure:
                return JobState.FAILED, made.failure, None, made
            report = self._ops.take_in(job, made)
        except StoreError:
            raise
        except (AiopsError, wire.Invalid) as error:
            return JobState.FAILED, f"the worker's result can't be used: {error}", None, made
        except Exception:  # as in the worker: one that breaks must not end the thread
            log.exception("the result of diagnosis %s", job.id)
            return JobState.FAILED, BROKEN, None, made
        return state_of(report.verdict), "", report, made
