"""A graph elsewhere, with a copy of it here: an outage there loses no write and stops no diagnosis.

A write is durable here before it is acknowledged, edge and outbox in one transaction; then the outbox is emptied in order. A read
asks the other side once it has everything, and keeps what it answers; when it does not answer, the copy does, with a gap that
says so. All that is sent may be sent twice. Each call first delivers what waits, for at most `PATIENCE_S`; after a failure the
other side is left alone for a while that doubles up to `LONGEST_REST_S`, and then told what waits though nobody calls.

What others cut or purge on the other side stays in the copy, and shows during an outage only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from aiops.adapters.sqlite.database import from_ms
from aiops.adapters.sqlite.graph import GraphDB, edge, sighting
from aiops.domain import Call, Calls, Gap, Sighting
from aiops.errors import AiopsError, DataError, SourceError, SourceUnreachable, StoreError
from aiops.ports import GraphStore

T = TypeVar("T")

PATIENCE_S = 3.0
FIRST_REST_S = 1.0
LONGEST_REST_S = 15.0  # so that it is in use again half a minute after it is back
ENTRIES = 100  # read from the outbox at once

log = logging.getLogger(__name__)


class MirroredGraph:
    """`far`, called `name` in what is said, with its copy and outbox in `copy`. Closes both.

    A write that the other side refuses (not: does not hear) raises what it said, and waits in the outbox all the same.
    unasked: whether what waits is also delivered when nobody calls.
    """

    def __init__(self, copy: GraphDB, far: GraphStore, name: str, *, unasked: bool = True) -> None:
        self._copy, self._far, self._name = copy, far, name
        self._lock = threading.Lock()
        self._unasked, self._timer = unasked, threading.Timer(0, self._deliver)
        self._failure: SourceError | StoreError | None = None
        self._rest_s, self._until = FIRST_REST_S, 0.0

    # ------------------------------------------------------------ write

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges and their nodes; returns how many were given."""
        return self._written(self._copy.upsert(calls, post=True))

    def note(self, sightings: Iterable[Sighting]) -> int:
        """Stores sightings; returns how many were given."""
        return self._written(self._copy.note(sightings, post=True))

    def cut(self, caller: str, callee: str) -> bool:
        """Removes the edge and bars it until restored; False when neither side that can be asked knows it."""
        self.calls((caller, callee))  # which brings it here, if it is there
        return self._written(self._copy.cut(caller, callee, post=True))

    def restore(self, caller: str, callee: str) -> bool:
        """Lifts the bar on both sides and puts back what each had; False when neither side that can be asked has it cut."""
        if (caller, callee) not in {*self.cuts(), *self._copy.cuts()}:
            return False
        self._copy.restore(caller, callee, post=True)
        return self._written(True)

    def purge(self, before: datetime) -> int:
        """Forgets what was last seen before `before`; returns how many the copy had. There is no hurry: the next call sends it."""
        return self._copy.purge(before, post=True)

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        """From the other side, or from the copy with a gap."""
        wanted = tuple(nodes)
        found = self._asked(lambda: self._far.calls(wanted, hops))
        here = self._copy.calls(wanted, hops)
        if found is None:
            return here.leaving_out((self._gap(),))
        self._copy.upsert(sorted(set(found) - set(here), key=lambda call: (call.caller, call.callee)))
        return found

    def cuts(self) -> tuple[tuple[str, str], ...]:
        """Sorted by caller and callee."""
        found = self._asked(self._far.cuts)
        return self._copy.cuts() if found is None else found

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        """Sorted; only those without an edge when `alone`."""
        found = self._asked(lambda: self._far.nodes(alone=alone))
        return self._copy.nodes(alone=alone) if found is None else found

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        """Those with an end at any of `nodes`; all when `nodes` is empty. Sorted."""
        wanted = tuple(nodes)
        found = self._asked(lambda: self._far.sightings(wanted))
        return self._copy.sightings(wanted) if found is None else found

    def ping(self, timeout: float) -> str:
        """What answers on the other side, and how much waits for it here."""
        waiting = self._copy.waiting()
        return self._far.ping(timeout) + (f"; {waiting} writes wait here" if waiting else "")

    def close(self) -> None:
        """Delivers what can be delivered. Twice does no harm."""
        self._unasked = False
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        self._deliver()
        self._far.close()
        self._copy.close()

    # ------------------------------------------------------------ the other side

    def _written(self, result: T) -> T:
        if not self._delivered() and self._failure and not isinstance(self._failure, SourceUnreachable):
            raise self._failure
        return result

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None when the other side has not got everything or does not answer."""
        if not self._delivered():
            return None
        try:
            found = ask()
        except (SourceError, StoreError) as error:
            self._failed(error)
            return None
        self._answered()
        return found

    def _delivered(self) -> bool:
        """Sends what waits; whether the other side has everything now."""
        ends = time.monotonic() + PATIENCE_S
        with self._lock:
            if time.monotonic() < self._until:
                self._later()
                return False
            try:
                while entries := self._copy.posted(ENTRIES):
                    for number, what, said in entries:
                        self._send(what, said)
                        self._answered()
                        self._copy.delivered(number)
                        if time.monotonic() > ends:
                            self._later()
                            return self._copy.waiting() == 0
            except (SourceError, StoreError) as error:
                self._failed(error)
                self._later()
                return False
            return True

    def _deliver(self) -> None:
        """As `_delivered`, where there is nobody to be told."""
        try:
            self._delivered()
        except AiopsError as error:  # closed before, or the file is gone: what waits is told at the next start
            log.debug("nothing delivered: %s", error)

    def _later(self) -> None:
        """Delivers once the rest is over, though nobody calls. Called with the lock held."""
        running = self._timer.is_alive() and self._timer is not threading.current_thread()
        if self._unasked and not running and self._copy.waiting():
            self._timer = threading.Timer(max(0.0, self._until - time.monotonic()), self._deliver)
            self._timer.daemon = True
            self._timer.start()

    def _send(self, what: str, said: list[Any]) -> None:
        try:
            match what:
                case "upsert":
                    self._far.upsert(map(edge, said))
                case "note":
                    self._far.note(map(sighting, said))
                case "purge":
                    self._far.purge(from_ms(said[0][0]))
                case "cut":
                    self._cut(*said[0])
                case "restore":
                    self._far.restore(*said[0])
        except DataError as error:  # it can never be taken, and must not hold up what follows
            log.error("%s does not take a write, which is given up: %s", self._name, error)  # noqa: TRY400 - foreseen

    def _cut(self, caller: str, callee: str) -> None:
        """There is nothing to cut where somebody purged it meanwhile, and yet it must be barred."""
        if not self._far.cut(caller, callee):
            self._far.upsert((Call(caller, callee, "learned"),))
            self._far.cut(caller, callee)

    def _answered(self) -> None:
        """Not before: where nothing waits to be sent, nothing is known of the other side until it is asked."""
        self._failure, self._rest_s = None, FIRST_REST_S

    def _failed(self, error: SourceError | StoreError) -> None:
        self._failure = error
        self._until = time.monotonic() + self._rest_s
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)

    def _gap(self) -> Gap:
        waiting = self._copy.waiting()
        why = str(self._failure) if self._failure else f"{self._name} has not taken yet what waits for it"
        return Gap(
            f"dependencies that {self._name} knows",
            f"{why}; the copy kept here was used, and {waiting} writes wait to be sent",
            "aiops doctor",
        )
