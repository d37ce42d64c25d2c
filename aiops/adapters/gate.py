"""What protects a source from us, and us from a source that is down: few requests at once, and a circuit breaker.

The breaker (M. Nygard, Release It!, 2007) opens after `FAILURES` requests in a row that failed: while it is open nothing is
asked. When the pause is over one request is let through; its answer closes the breaker, its failure opens it for twice as long,
`LONGEST_PAUSE_S` at most: a source that has come back is asked again within that. Pauses run on a clock that no one can set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import BoundedSemaphore, Lock

REQUESTS = 8  # at once with one source
FAILURES = 5
PAUSE_S, LONGEST_PAUSE_S = 10.0, 25.0


class Shut(Exception):
    """Nothing is asked now; the message says why, since when, and when it is tried again."""


class Gate:
    """One for each source, shared by threads. `clock` gives seconds that only go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free = BoundedSemaphore(REQUESTS)
        self._lock = Lock()
        self._failed, self._again, self._pause = 0, 0.0, PAUSE_S
        self._since, self._last = "", ""

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """One request. Raises Shut while the breaker is open, or when no turn comes within `seconds`."""
        if not self._free.acquire(timeout=max(0.0, seconds)):
            raise Shut(f"{REQUESTS} requests are under way already and none of them ended in time")
        try:
            self._pass()
            yield
        finally:
            self._free.release()

    def answered(self) -> None:
        """It is there, whatever it said."""
        with self._lock:
            self._failed, self._pause = 0, PAUSE_S

    def failed(self, why: str) -> None:
        """It is not there, or broken."""
        with self._lock:
            now = self._clock()
            self._since = self._since if self._failed else f"{datetime.now(UTC):%H:%M:%SZ}"
            self._failed += 1
            self._last = why
            if self._failed == FAILURES:
                self._again = now + self._pause
            elif self._failed > FAILURES:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
                self._again = now + self._pause

    def _pass(self) -> None:
        with self._lock:
            if self._failed < FAILURES:
                return
            now = self._clock()
            if now < self._again:
                raise Shut(
                    f"not asked: {self._failed} requests since {self._since} failed, the last with: {self._last}; "
                    f"tried again in {self._again - now:.0f} s"
                )
            self._again = now + self._pause  # this one is let through; the others wait for what becomes of it
