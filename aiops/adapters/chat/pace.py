"""How often a platform may be told something: what comes beyond that it drops, or answers with a break of minutes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from aiops.errors import SourceBusy


class Pace:
    """At most `most` in any `seconds`. Thread-safe."""

    def __init__(self, most: int, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()

    def take(self, what: str, whom: str) -> None:
        """One more, from now on counted. SourceBusy when it would be one too many."""
        with self._lock:
            now = self._clock()
            while self._taken and self._taken[0] <= now - self._seconds:
                self._taken.popleft()
            if len(self._taken) >= self._most:
                wait = self._taken[0] + self._seconds - now
                raise SourceBusy(what, whom, f"it takes {self._most} in {self._seconds:g} s; the next in {wait:.0f} s")
            self._taken.append(now)
