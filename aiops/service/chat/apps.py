"""The apps that this house has at WeCom, WeChat, Feishu and DingTalk, and what taking a message of any of them needs.

Several apps share one address. Whose keys a request fits, that app alone it is for: it is answered with that app's credentials, its
person and session carry that app's name, and what it may bring once is kept under that app.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse

from aiops.domain import Actor
from aiops.errors import AiopsError, NotFound
from aiops.plain import clean
from aiops.ports import ChatApp, Message
from aiops.service.chat import answering, signatures
from aiops.service.chat.answering import Question
from aiops.service.chat.pressing import Presser, Pressing
from aiops.service.chat.senders import Senders
from aiops.service.chat.signatures import Distrusted, Proof
from aiops.service.desk import Desk

log = logging.getLogger(__name__)

ANSWER_S = 20.0  # for one answer, with its picture
TELLING = 32  # words that are on their way at once


@dataclass(frozen=True, slots=True)
class Sealed:
    """An application of WeCom or an account of WeChat: `crypt` has its keys and its corporation's id (WeChat: its AppID), `own` is
    whom inner messages are to be for (WeCom: the corporation, WeChat: the account), `agent` the application's number."""

    name: str
    crypt: signatures.WeCom = field(repr=False)
    own: str
    app: ChatApp = field(repr=False)
    agent: str = ""
    senders: Senders | None = None  # None: whence it comes is not asked
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class FeishuApp:
    """`own`: its App ID; `token`: the verification token, `key`: the encrypt key of its events."""

    name: str
    own: str
    token: bytes = field(repr=False)
    key: bytes = field(repr=False)
    app: ChatApp = field(repr=False)
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class DingTalkApp:
    """`own`: its Client ID, which is its robot's code; `secret`: the Client Secret."""

    name: str
    own: str
    secret: bytes = field(repr=False)
    app: ChatApp = field(repr=False)
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Apps:
    """Those that are set up to be written to."""

    wecom: tuple[Sealed, ...] = ()
    wechat: tuple[Sealed, ...] = ()
    feishu: tuple[FeishuApp, ...] = ()
    dingtalk: tuple[DingTalkApp, ...] = ()
    telling: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(TELLING))

    def named(self) -> Iterator[tuple[str, ChatApp]]:
        """Each as the file of the apps names it."""
        tables = (("wecom", self.wecom), ("wechat", self.wechat), ("feishu", self.feishu), ("dingtalk", self.dingtalk))
        return ((f"{platform}.{one.name}", one.app) for platform, some in tables for one in some)

    def senders(self) -> Iterator[Senders]:
        """What must run while these are served."""
        return (one.senders for one in (*self.wecom, *self.wechat) if one.senders)


class App(Protocol):
    """What those above have in common."""

    @property
    def name(self) -> str: ...
    @property
    def app(self) -> ChatApp: ...
    @property
    def clock(self) -> Callable[[], float]: ...


class Elsewhere(Distrusted):
    """It comes from an address that is not the platform's."""


A = TypeVar("A", bound=App)


def known(request: Request) -> Apps:
    """Those of the application that serves this request."""
    apps: Apps = request.app.state.platforms.apps
    return apps


def some(apps: Sequence[A], platform: str) -> Sequence[A]:
    """Those apps. NotFound where there are none."""
    if not apps:
        raise NotFound(f"{platform} is not set up: chat.apps_file names no app that takes messages")
    return apps


def whose(apps: Sequence[A], prove: Callable[[A], Proof]) -> tuple[A, Proof]:
    """The app whose keys a request fits. All are tried, so that how long it takes tells nothing. Raises Distrusted."""
    found: list[tuple[A, Proof]] = []
    failure = Distrusted("the signature does not fit")
    for app in apps:
        try:
            found.append((app, prove(app)))
        except Distrusted as error:
            failure = error
    if not found:
        raise failure
    return found[0]


async def first(desk: Desk, app: App, platform: str, *parts: str) -> bool:
    """Whether a message comes for the first time. A platform that has seen no answer sends it again, signed anew."""
    exact = [part.encode("utf-8", "surrogatepass") for part in parts]
    proof = Proof(
        signatures.digest(b"message", platform.encode(), app.name.encode(), *exact), app.clock() + signatures.REPEATED_S
    )
    try:
        await answering.once(desk, proof)
    except Distrusted:
        return False
    return True


def person(app: App, user: str) -> str:
    """Who it is, in the records and the list of people: APP.USER, so that nobody is somebody of another tenant."""
    return f"{app.name}.{clean(user, 128)}"


def ask(request: Request, app: App, platform: str, text: str, user: str, talk: str, address: str) -> str:
    """Looks into a question, and answers at the address in time. What to say at once. `talk`: the conversation it belongs to."""
    desk: Desk = request.app.state.desk
    key = secrets.token_hex(16)

    def answer(message: Message, public: bool) -> None:  # noqa: ARG001 - where it was asked it is answered
        app.app.answer(address, message, ANSWER_S, key=key)

    session = f"{app.name}.{clean(talk, 128)}"
    question = Question(text.strip(), Actor(platform, person(app, user)), session, answer)
    return answering.take(desk, question, request.app.state.platforms.room)


def press(request: Request, app: App, platform: str, value: str, user: str, channels: Iterable[str]) -> str:
    """Does what a button stands for; the words for who pressed it. Not for the event loop. `channels`: where it may stand, as
    `chat.url` has them after the platform's name; it counts in the one that it was made for."""
    pressing: Pressing = request.app.state.pressing
    failure = Distrusted("the button was made for another channel")
    for channel in channels:
        presser = Presser(platform, person(app, user), channel)
        try:
            pressing.proved(value, presser)
        except Distrusted as error:
            failure = error
            continue
        return pressing.pressed(request.app.state.desk, value, presser)
    log.warning("%s sent a press that is not believed: %s", platform, failure)
    return str(failure)


def tell(request: Request, app: App, address: str, words: Callable[[], str]) -> None:
    """Says something short, from a thread, in which it is found, too; too many at once, and it is left out."""
    telling = known(request).telling
    if not telling.acquire(blocking=False):
        return
    key = secrets.token_hex(16)

    def run() -> None:
        try:
            app.app.answer(address, Message((words(),)), ANSWER_S, key=key)
        except AiopsError as error:
            log.warning("%s was not told in %s: %s", person(app, address), type(app.app).__name__, error)
        finally:
            telling.release()

    threading.Thread(target=run, name="chat", daemon=True).start()


def distrusted(_: Request, error: Exception) -> JSONResponse:
    """401, for an address that is not the platform's 403, with what failed and nothing of what was expected."""
    return JSONResponse({"detail": str(error)}, 403 if isinstance(error, Elsewhere) else 401)
