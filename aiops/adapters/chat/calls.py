"""Calls of a chat platform's API: the access token that is kept until it ends, and the code in each answer that says how it went.

The platforms answer HTTP 200 to what they refuse, so each answer is read. A token that a platform has ended early is got anew once.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiops.adapters.http import Access, Session
from aiops.errors import SourceBusy, SourceError, SourceRefused

log = logging.getLogger(__name__)

EARLY_S = 300.0  # how long before its end a token is replaced: no call may meet the end on its way

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Codes:
    """How a platform says how a call went: the field of the code (0: well) and of its words; the codes of a token that is none
    (any more), and those of a platform that has too much to do."""

    field: str
    words: str
    stale: frozenset[int]
    busy: frozenset[int]


class Api:
    """One app at one platform. `fetch` gets a token: (it, the seconds that it lives). Thread-safe."""

    def __init__(
        self,
        access: Access,
        codes: Codes,
        fetch: Callable[[Session], tuple[str, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access, self.codes = access, codes
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def call(self, what: str, timeout: float, ask: Callable[[Session, str], bytes]) -> Answer:
        """What `ask` (a conversation, a token) brings, when it went well. Raises SourceError."""
        with self.access.session(what, timeout) as session:
            token = self._current(session)
            answer = _told(session, lambda: ask(session, token))
            if _code(answer, self.codes) in self.codes.stale:
                self._forget(token)
                answer = _told(session, lambda: ask(session, self._current(session)))
            return checked(session, self.access.url, answer, self.codes)

    def open(self, what: str, timeout: float) -> None:
        """Gets a token, unless there is one: the platform knows the app then. Raises SourceError."""
        with self.access.session(what, timeout) as session:
            self._current(session)

    def _current(self, session: Session) -> str:
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                token, lives = self._fetch(session)
                if not token:
                    raise session.garbled("no access token in the answer")
                self._token, self._ends = token, self._clock() + max(lives - EARLY_S, lives / 2)
            return self._token

    def _forget(self, token: str) -> None:
        """Unless another thread has got a new one by now."""
        with self._lock:
            if self._token == token:
                self._token = ""


def told(session: Session, body: bytes) -> Answer:
    """An answer as it came. Raises SourceGarbled."""
    answer: Answer = session.decode(body, dict)
    return answer


def checked(session: Session, whom: str, answer: Answer, codes: Codes) -> Answer:
    """The answer, unless its code says that it went ill. Raises SourceBusy, SourceRefused."""
    code = _code(answer, codes)
    if code:
        kind = SourceBusy if code in codes.busy else SourceRefused
        words = session.shown(f"{codes.field} {code} {answer.get(codes.words, '')}")[:300]
        raise kind(session.what, whom, words)
    return answer


def _told(session: Session, ask: Callable[[], bytes]) -> Answer:
    """The answer, also where it came with a 4xx: some platforms send their code along with one."""
    try:
        return told(session, ask())
    except SourceRefused as error:
        found = re.search(r'"(errcode|code)":\s*(\d{1,12})', error.came_back)
        if found is None:
            raise
        return {found[1]: int(found[2]), "errmsg": error.came_back, "msg": error.came_back}


def _code(answer: Answer, codes: Codes) -> int:
    code = answer.get(codes.field, 0)
    return code if isinstance(code, int) else 1


def number(value: object) -> float:
    """Seconds that a token lives; what is none lives no longer than this call."""
    return float(value) if isinstance(value, int | float) else 0.0


def attempted(upload: Callable[[], str]) -> str:
    """What names an uploaded picture, "" where it can't be: that costs the picture alone."""
    try:
        return upload()
    except SourceError as error:
        log.warning("a message goes without its picture: %s", error)
        return ""
