"""Takes away, once an hour, what is older than it is to be kept."""

from __future__ import annotations

import logging
import threading

from aiops.domain import Actor
from aiops.errors import AiopsError
from aiops.ops import Ops
from aiops.service.metrics import Registry

log = logging.getLogger(__name__)

FIRST_S = 60.0  # after the start, which has other things to do
EVERY_S = 3600.0


class Purger:
    """A thread between `start` and `stop`. It waits on a clock that nobody can set."""

    def __init__(self, ops: Ops, registry: Registry, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._ops, self._registry = ops.by(Actor("timer", "purge")), registry
        self._first_s, self._every_s = first_s, every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after what it has in hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._first_s
        while not self._stopping.wait(pause):
            try:
                for what, count in self._ops.purge().items():
                    self._registry.count("aiops_purged_total", count, what=what)
            except AiopsError as error:
                log.warning("nothing can be purged: %s", error)
            pause = self._every_s
