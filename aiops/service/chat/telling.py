"""Tells chats of episodes: one thread for each in each chat, in a thread of execution of its own for each chat.

What there is to tell is asked of the store, so that nothing waits in memory, a restart loses nothing, and a chat that was away for
long is told how things stand now. Nothing here holds up a diagnosis, and of a diagnosis that failed there is nothing to tell.
Each try is noted before it is made: after a crash in between, the post is looked for before it is made again.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiops.domain import Episode, Repair, Report, Thread
from aiops.errors import AiopsError, NotFound, SourceError
from aiops.ops import Ops
from aiops.ports import Chat, Message, Store
from aiops.service.chat.pressing import Press
from aiops.service.chat.wording import Manner, Pictures, Wording
from aiops.service.metrics import Registry

log = logging.getLogger(__name__)

POST_S = 20.0  # for one message with its picture
LOOK_S = 1.0  # how long something may wait to be told; `wake` ends the wait at once
PAUSE_S = 5.0  # after the store could not be used
AT_ONCE = 20  # threads that are looked up together
TRIES = 14  # in about 40 minutes
FIRST_S, LONGEST_S = 1.0, 300.0  # before the second try, and before any, at most


class Teller:
    """Tells one chat. `start` once, then `stop` once."""

    def __init__(self, ops: Ops, chat: Chat, wording: Wording, registry: Registry) -> None:
        self._ops, self._chat, self._wording, self._registry = ops, chat, wording, registry
        self._platform = chat.name.partition(":")[0]  # the rest may be an address
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tell-{self._platform}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was stored."""
        self._wake.set()

    def stop(self, wait_s: float = 2.0) -> None:
        """Waits no longer than that for a platform that does not answer: what it was told is looked for at the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(wait_s)

    # ------------------------------------------------------------ the loop

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            pause = LOOK_S
            try:
                due = self._ops.store.threads(self._chat.name, datetime.now(UTC), AT_ONCE)
                for thread in due:
                    self._try(thread)
                    if self._stopping.is_set():
                        return
                pause = 0.0 if len(due) == AT_ONCE else LOOK_S
            except AiopsError as error:
                log.warning("%s can't be told anything: %s", self._platform, error)
                pause = PAUSE_S
            except Exception:  # one episode that breaks must not end the thread; the log has the traceback
                log.exception("telling %s", self._platform)
                pause = PAUSE_S
            if pause:
                self._wake.wait(pause)

    def _try(self, thread: Thread) -> None:
        """One try, noted before it is made and after it is over. Raises StoreError."""
        store = self._ops.store
        mine = replace(thread, tries=thread.tries + 1)
        again = _later(mine.tries)
        store.save_thread(mine, again)
        told = Telling(self._ops, self._chat, self._wording, replace(mine, due=again), again)
        try:
            if mine.tries > TRIES:  # tries that broke here were not counted as given up
                told.give_up()
            else:
                told.tell()
        except SourceError as error:
            if error.retryable and mine.tries < TRIES:
                self._count("put_off")
                log.info("%s is told of episode %s later: %s", self._platform, mine.episode, error)
                return
            self._count("given_up")
            log.warning("%s is not told of episode %s: %s", self._platform, mine.episode, error)
            told.give_up()
        else:
            self._count("told")
        store.save_thread(replace(told.thread, tries=0), None)

    def _count(self, outcome: str) -> None:
        self._registry.count("aiops_chat_messages_total", chat=self._platform, outcome=outcome)


class Telling:
    """One try to bring one thread up to date. `thread` is as far as it has come; `again`: when the next try is due."""

    def __init__(self, ops: Ops, chat: Chat, wording: Wording, thread: Thread, again: datetime) -> None:
        self._ops, self._chat, self._wording = ops, chat, wording
        self.thread, self._again = thread, again

    def tell(self) -> None:
        """Raises SourceError, StoreError."""
        found = self._episode()
        report = self._report()
        if found is None or report is None:  # retention was faster
            self.give_up()
        elif self.thread.post:
            self._go_on(found, report)
        elif self.thread.report != self.thread.latest:
            self._begin(found, report)
        else:  # its first post was given up, and now it is over
            self.give_up()

    def give_up(self) -> None:
        """What there was to tell is not told; what comes later is."""
        found = self._episode()
        over = found is None or found.closed is not None
        self.thread = replace(self.thread, report=self.thread.latest, closed=self.thread.closed or over)

    def _report(self) -> Report | None:
        try:
            return self._ops.report(self.thread.latest)
        except NotFound:
            return None

    def _episode(self) -> Episode | None:
        return self._ops.store.episodes([self.thread.episode]).get(self.thread.episode)

    def _begin(self, episode: Episode, report: Report) -> None:
        head = self._pictured(self._head(episode, report), report)
        post = self._posted(head, episode.id)
        self.thread = replace(self.thread, post=post, report=report.id, closed=episode.closed is not None)

    def _go_on(self, episode: Episode, report: Report) -> None:
        """Replies first, each once, then the first post as things now stand."""
        if self.thread.report != report.id:
            self._posted(self._pictured(self._wording.update(report, episode), report), report.id)
            self._note(replace(self.thread, report=report.id, closed=False))
        if episode.closed and not self.thread.closed:
            self._posted(self._wording.end(report, episode), f"{episode.id}-end-{episode.recurrences}")
            self._note(replace(self.thread, closed=True))
        self._chat.edit(self.thread.post, self._head(episode, report), POST_S)

    def _posted(self, message: Message, key: str) -> str:
        """Its id; where a try may have gone before, that one's."""
        where = self.thread.post
        known = self._chat.find(key, POST_S, thread=where) if self.thread.tries > 1 else ""
        return known or self._chat.post(message, POST_S, key=key, thread=where)

    def _pictured(self, message: Message, report: Report) -> Message:
        return replace(message, picture=self._wording.picture(report)) if self._chat.pictures else message

    def _note(self, thread: Thread) -> None:
        self.thread = thread
        self._ops.store.save_thread(thread, self._again)

    def _head(self, episode: Episode, report: Report) -> Message:
        return self._wording.head(report, episode, latest_repair(self._ops.store, report))


def latest_repair(store: Store, report: Report) -> Repair | None:
    """The newest repair of a report, whatever has become of it."""
    return next(iter(store.repairs(1, (), report.id)), None)


class Tellers:
    """All chats, each told by itself. `start` once, then `stop` once."""

    def __init__(self, ops: Ops, registry: Registry, manner: Manner, seal: Callable[[Press], str]) -> None:
        pictures = Pictures(manner)
        self._all = [Teller(ops, chat, Wording(manner, chat.name, seal, pictures), registry) for chat in ops.chats]

    def start(self) -> None:
        for teller in self._all:
            teller.start()

    def wake(self) -> None:
        """Something was stored."""
        for teller in self._all:
            teller.wake()

    def stop(self) -> None:
        for teller in self._all:
            teller.stop()


def _later(tries: int) -> datetime:
    """When the next try is due: each waits twice as long as the one before, by chance up to half less, and to the millisecond."""
    longest = min(FIRST_S * 2 ** (tries - 1), LONGEST_S)
    wait = timedelta(seconds=random.uniform(longest / 2, longest))  # noqa: S311 - jitter: those who failed together don't return together
    moment = datetime.now(UTC) + wait
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
