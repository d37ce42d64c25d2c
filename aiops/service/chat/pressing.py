"""What is pressed under a message: proved to be a button of ours, made for this channel and still good, then done.

What a button brings is signed by us and binds what is to be done, about which report, in which channel, until when, and for a
repair the hash of its plan: a plan that has changed since can't be approved by an old button. Who presses is told by the
platform: whoever is in the channel may say right, wrong and again; only who is listed as an approver may decide over a repair.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property

import msgspec

from aiops.domain import Actor
from aiops.errors import AiopsError, NotFound, SourceError, UsageError
from aiops.flows.repair import BY_ITSELF
from aiops.plain import clean
from aiops.ports import Message, Store
from aiops.redaction import redact
from aiops.render import language
from aiops.render.language import say
from aiops.service.access import Role
from aiops.service.chat.people import People
from aiops.service.chat.signatures import Distrusted
from aiops.service.desk import Desk

log = logging.getLogger(__name__)

KEY = "buttons"  # the name of the key in the store
LONGEST = 2000  # characters of what a button brings; Slack takes as many
NOTE_S = 10.0
PRESSED = "pressed in a chat"


class Act(StrEnum):
    """What a button does. Its value is its name, in ASCII letters."""

    APPROVE = "approve"
    REJECT = "reject"
    AGAIN = "again"
    RIGHT = "right"
    WRONG = "wrong"


DECISIONS = frozenset({Act.APPROVE, Act.REJECT})


@dataclass(frozen=True, slots=True)
class Press:
    """What one button stands for. chat: the name of the channel that it was made for; repair and digest: of what is decided over;
    ends: until when it counts, in seconds since 1970."""

    act: Act
    report: str
    chat: str
    repair: str = ""
    digest: str = ""
    ends: int = 0


@dataclass(frozen=True, slots=True)
class Presser:
    """Who pressed, and where, as the platform proves it. channel: as in the name of the chat, `PLATFORM:CHANNEL`."""

    platform: str
    user: str
    channel: str

    @property
    def chat(self) -> str:
        return f"{self.platform}:{self.channel}"


class Seal:
    """Presses as the text of a button, and back. `key` is known to this house alone."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def close(self, press: Press) -> str:
        """The text that brings this press."""
        body = base64.urlsafe_b64encode(msgspec.json.encode(astuple(press)))
        return f"{body.decode()}.{self._mark(body).decode()}"

    def open(self, text: str, now: float) -> Press:
        """Raises Distrusted for what is not ours, or too old."""
        body, _, mark = text[:LONGEST].encode("utf-8", "replace").partition(b".")
        if not hmac.compare_digest(self._mark(body), mark):
            raise Distrusted("the button is not one of ours")
        try:
            told = msgspec.json.decode(base64.urlsafe_b64decode(body), type=tuple[Act, str, str, str, str, int])
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise Distrusted("the button is not one of ours") from error
        press = Press(*told)
        if now > press.ends:
            raise Distrusted("the button is too old")
        return press

    def _mark(self, body: bytes) -> bytes:
        return base64.urlsafe_b64encode(hmac.new(self._key, body, hashlib.sha256).digest()).rstrip(b"=")


class Pressing:
    """What may be pressed: the seal of our buttons, who decides, and the language of chats."""

    def __init__(self, store: Store, people: People, spoken: str, clock: Callable[[], float] = time.time) -> None:
        self._store, self._people, self._spoken, self._clock = store, people, spoken, clock
        self._one = threading.Lock()  # a press may read a whole recording: many at once would hold up the server

    @cached_property
    def seal(self) -> Seal:
        """With the key that the store keeps: buttons outlive the process."""
        return Seal(self._store.secret(KEY))

    def close(self, press: Press) -> str:
        """The text of a button that stands for it."""
        return self.seal.close(press)

    def proved(self, text: str, presser: Presser) -> Press:
        """What a button stands for that is ours, still good, and of this channel. Raises Distrusted."""
        press = self.seal.open(text, self._clock())
        if press.chat != presser.chat:
            raise Distrusted("the button was made for another channel")
        return press

    def pressed(self, desk: Desk, text: str, presser: Presser) -> str:
        """Does what a button stands for; the words for who pressed it. Raises Distrusted for what proves nothing.

        Whatever fails is told in words. It may take as long as the store does: not for the event loop."""
        press = self.proved(text, presser)
        known = self._people.find(presser.platform, presser.user)
        user = clean(presser.user, 128)
        who = Actor(presser.platform, known.name if known else user)
        with language.speaking(self._spoken):
            if press.act in DECISIONS and (known is None or known.role < Role.APPROVER):
                log.warning("%s of %s pressed %s and is no approver", user, presser.platform, press.act)
                return say("Only approvers may decide over a repair, and {user} is not listed as one.", user=user)
            try:
                with self._one:
                    words, note = _DO[press.act](replace(desk, ops=desk.ops.by(who)), press)
            except AiopsError as error:
                return clean(redact(str(error)), LONGEST)
            told = say("{name}: {what}", name=who.name, what=note)
        threading.Thread(target=_note, args=(desk, press, told), name="chat", daemon=True).start()
        return words


# ---------------------------------------------------------------- what each does: (words for who pressed, words for all)


def _approve(desk: Desk, press: Press) -> tuple[str, str]:
    repair = desk.ops.repairs.approve(press.repair, press.digest, note=PRESSED)
    given, needed = len(repair.approvals), repair.plan.approvers
    if given < needed:
        missing = say("Approved; {n} more is needed.", n=needed - given)
        return missing, say("approved the repair; {n} more is needed", n=needed - given)
    if repair.mode in BY_ITSELF:
        return say("Approved; it is run now."), say("approved the repair, which is run now")
    how = f"aiops remediate run {repair.id}"
    return say("Approved; it is run by: {command}", command=how), say("approved the repair")


def _reject(desk: Desk, press: Press) -> tuple[str, str]:
    repair = desk.ops.repairs.get(press.repair)
    if not hmac.compare_digest(repair.hash.encode(), press.digest.encode()):
        raise UsageError("the plan is another one by now")
    desk.ops.repairs.reject(press.repair, PRESSED)
    return say("Rejected."), say("rejected the repair")


def _again(desk: Desk, press: Press) -> tuple[str, str]:
    desk.begin(press.report)
    return say("A new diagnosis begins."), say("asked for another diagnosis")


def _right(desk: Desk, press: Press) -> tuple[str, str]:
    cause = _told(desk, press, wrong=False)
    return say("Thank you; the next diagnosis knows."), say("{cause} was the cause", cause=cause)


def _wrong(desk: Desk, press: Press) -> tuple[str, str]:
    cause = _told(desk, press, wrong=True)
    return say("Thank you; the next diagnosis knows."), say("{cause} was not the cause", cause=cause)


def _told(desk: Desk, press: Press, *, wrong: bool) -> str:
    causes = desk.report(press.report).root_causes
    if not causes:
        raise NotFound(f"report {press.report} names no cause")
    desk.ops.feedback(press.report, causes[0].node, note=PRESSED, wrong=wrong)
    return clean(causes[0].node, 200)


_DO: dict[Act, Callable[[Desk, Press], tuple[str, str]]] = {
    Act.APPROVE: _approve,
    Act.REJECT: _reject,
    Act.AGAIN: _again,
    Act.RIGHT: _right,
    Act.WRONG: _wrong,
}


# ---------------------------------------------------------------- parts


def _note(desk: Desk, press: Press, told: str) -> None:
    """Says in the thread what was done, and has the thread's first post told anew. A chat that is away costs the note alone."""
    try:
        episode = desk.ops.store.episodes([press.report]).get(press.report)
        if episode is None:
            return
        desk.ops.store.stir(episode.id, datetime.now(UTC))
        threads = {one.chat: one.post for one in desk.ops.store.threads_of(episode.id) if one.post}
        for chat in desk.ops.chats:
            if chat.name == press.chat and chat.name in threads:
                key = f"{press.report}-{press.act}-{time.time_ns()}"
                chat.post(Message((clean(told, LONGEST),)), NOTE_S, key=key, thread=threads[chat.name])
    except SourceError as error:
        log.warning("what was pressed can't be told in %s: %s", press.chat.partition(":")[0], error)
    except AiopsError as error:
        log.warning("what was pressed can't be told: %s", error)
