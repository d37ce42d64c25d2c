"""The intake of notifications: many requests, one commit.

An fsync costs milliseconds, an alert microseconds. One thread takes whatever waits, up to `GROUP_ALERTS`, makes it durable
together, and then answers each request; while it does, the next group gathers. So a lone notification waits for nobody, and
under a storm the cost of the fsync is shared by hundreds.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiops.domain import Notification
from aiops.errors import AiopsError, Overloaded, StoreError
from aiops.flows.fold import Receipt

log = logging.getLogger(__name__)

GROUP_ALERTS = 1000
HELD_ALERTS = 20_000  # that wait at most: some 60 MB

Accept: TypeAlias = Callable[[Sequence[Notification]], Sequence[Receipt]]
Result: TypeAlias = Receipt | Exception


@dataclass(frozen=True, slots=True)
class _Waiting:
    notification: Notification
    answer: asyncio.Future[Receipt]


class Intake:
    """`take` from one event loop, between `start` and `stop`. `accept` makes notifications durable, all or none."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._held = 0  # alerts; only the event loop's thread counts
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after all that waits has been answered."""
        self._waiting.put(None)
        self._thread.join()

    async def take(self, notification: Notification) -> Receipt:
        """Durable when it returns. Overloaded when too much waits already; else raises what `accept` does."""
        count = len(notification.alerts)
        # One that is larger than the limit is taken when it comes alone.
        if self._held and self._held + count > HELD_ALERTS:
            raise Overloaded(f"{self._held} alerts wait to be stored, {count} more do not fit")
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._held += count
        self._waiting.put(_Waiting(notification, answer))
        try:
            return await answer
        finally:
            self._held -= count

    def _run(self) -> None:
        going = True
        while going:
            group, going = self._group()
            if group:
                results = self._results([waiting.notification for waiting in group])
                group[0].answer.get_loop().call_soon_threadsafe(_answer, group, results)

    def _group(self) -> tuple[list[_Waiting], bool]:
        """What waits now, at least one; and whether there will be more."""
        group: list[_Waiting] = []
        alerts = 0
        try:
            while alerts < GROUP_ALERTS:
                waiting = self._waiting.get(block=not group)
                if waiting is None:
                    return group, False
                group.append(waiting)
                alerts += len(waiting.notification.alerts)
        except queue.Empty:
            pass
        return group, True

    def _results(self, notifications: Sequence[Notification]) -> Sequence[Result]:
        """A receipt or the failure of each. What one can't be taken for is no reason to refuse those beside it."""
        try:
            return self._accept(notifications)
        except StoreError as error:  # nothing can be stored: the next would only wait for the same
            return [_again(error) for _ in notifications]
        except AiopsError as error:
            if len(notifications) == 1:
                return [_again(error)]
            return [self._results([one])[0] for one in notifications]
        except (
            Exception
        ) as error:  # a defect must not end the thread; each request answers 500, the log has the traceback
            log.exception("intake")
            return [RuntimeError(f"the intake broke: {type(error).__name__}") for _ in notifications]


def _again(error: AiopsError) -> AiopsError:
    """The same failure without the frames of this thread, which hold all the group's alerts."""
    return type(error)(str(error))


def _answer(group: Sequence[_Waiting], results: Sequence[Result]) -> None:
    for waiting, result in zip(group, results, strict=True):
        if waiting.answer.done():  # the client went away
            continue
        if isinstance(result, Exception):
            waiting.answer.set_exception(result)
        else:
            waiting.answer.set_result(result)
