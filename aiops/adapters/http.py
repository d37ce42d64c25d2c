"""The door to every source that speaks HTTP: who is asked and with which secret (`Access`), and one conversation under one
deadline (`Session`) in which every failure is a SourceError that says what was asked, of whom, and what came back.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import requests
import urllib3

from aiops.errors import ConfigError, SourceBusy, SourceError, SourceGarbled, SourceRefused, SourceUnreachable

CONVERSATIONS = 8  # at once with one source
MAX_BODY = 1 << 30  # bytes; an answer beyond it is no answer one can work with

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """Where a source is, and the secrets that open it: a bearer `token`, or `user` and `password`; a `tenant`, where one
    server keeps several."""

    url: str
    token: str = ""
    user: str = ""
    password: str = ""
    tenant: str = ""

    @staticmethod
    def to(url: str, scheme: str, source: str, **secrets: str) -> Access:
        """`url` without `scheme+`, checked. ConfigError for an address that is none or that holds a password.

        `source`: what the message calls it, as in "metrics source"."""
        return Access(_base(url.removeprefix(f"{scheme}+"), scheme, source), **secrets)

    @property
    def headers(self) -> dict[str, str]:
        """A token that names its own scheme, as `ApiKey ...`, is sent as it is."""
        scheme = "" if " " in self.token else "Bearer "
        bearer = {"Authorization": f"{scheme}{self.token}"} if self.token else {}
        return bearer | ({"X-Scope-OrgID": self.tenant} if self.tenant else {})

    @property
    def auth(self) -> tuple[str, str] | None:
        return (self.user, self.password) if self.user else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode() if self.user else ""
        return tuple(secret for secret in (self.token.rpartition(" ")[2], self.password, basic) if secret)

    def session(self, what: str, timeout: float) -> Session:
        """A conversation about `what` that is over in `timeout` seconds."""
        session = Session(what, self.url, timeout, self.secrets)
        session.headers.update(self.headers)
        session.auth = self.auth
        return session

    def each(self, what: str, timeout: float, asks: Sequence[Callable[[Session], T]]) -> list[T]:
        """The answers to all of `asks`, in order, a few at a time; the first failure ends the others. Raises SourceError."""
        failed = Event()

        def work(mine: Sequence[Callable[[Session], T]]) -> list[T]:
            answers = []
            with self.session(what, timeout) as session:
                for ask in mine:
                    if failed.is_set():
                        break
                    try:
                        answers.append(ask(session))
                    except BaseException:
                        failed.set()
                        raise
            return answers

        if not asks:
            return []
        with ThreadPoolExecutor(min(CONVERSATIONS, len(asks)), thread_name_prefix="ask") as pool:
            shares = list(pool.map(work, [asks[i::CONVERSATIONS] for i in range(min(CONVERSATIONS, len(asks)))]))
        return [shares[i % CONVERSATIONS][i // CONVERSATIONS] for i in range(len(asks))]


def _base(address: str, scheme: str, source: str) -> str:
    address = address.rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _port_is_valid(parts):
        raise ConfigError(
            f"{parts.scheme}://{parts.hostname or ''} is no address of a {source}; "
            f"that is {scheme}+http(s)://HOST[:PORT][/PREFIX]"
        )
    if parts.username or parts.password:
        raise ConfigError(f"the address of the {source} {parts.hostname} holds a password; name a file with it instead")
    if parts.query or parts.fragment:
        raise ConfigError(f"the address of the {source} {parts.hostname} has a query or a fragment, which it can't use")
    return address


def _port_is_valid(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


class Session(requests.Session):
    """One conversation, `timeout` seconds long altogether; every failure in it is a SourceError about `what`.

    Neither a proxy nor a password is taken from the environment, and no redirect is followed: only the configured address
    is ever asked.
    """

    def __init__(self, what: str, whom: str, timeout: float, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self.trust_env = False
        self.what, self._whom, self._secrets, self._timeout = what, whom, secrets, timeout
        self._ends = time.monotonic() + timeout

    def remaining(self) -> float:
        """Seconds left. Raises SourceUnreachable when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def ask(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        missing: bytes | None = None,
    ) -> bytes:
        """The body of a 2xx answer; `missing` instead of a 404, where that is given. `body` is sent as JSON."""
        try:
            return self.request(method, url, params=params, data=form or None, json=body).content
        except SourceRefused as error:
            if missing is not None and error.came_back.startswith("HTTP 404"):
                return missing
            raise

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As requests sends, within the deadline, with the body read whole. Raises SourceError."""
        options |= {"stream": True, "timeout": self.remaining(), "allow_redirects": False}
        try:
            response = super().send(request, **options)
            with response:
                body = self._body(response)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._late() from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise SourceUnreachable(self.what, self._whom, self._hide(_reason(error))) from error
        if response.status_code // 100 != 2:
            raise self._refusal(response, body)
        response.raw = io.BytesIO(body)
        return response

    def decode(self, body: bytes | msgspec.Raw, kind: type[T]) -> T:
        """The body as `kind`. Raises SourceGarbled."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.garbled(f"{error}: {_head(bytes(body))}") from error

    def garbled(self, came_back: str) -> SourceGarbled:
        return SourceGarbled(self.what, self._whom, self._hide(came_back))

    def _body(self, response: requests.Response) -> bytes:
        """All of it, looking at the clock after each piece: a server that drips keeps nobody waiting."""
        body = bytearray()
        while piece := response.raw.read1(1 << 16, decode_content=True):
            body += piece
            self.remaining()
            if len(body) > MAX_BODY:
                raise self.garbled(f"more than {MAX_BODY >> 20} MiB; ask for fewer series or a shorter time")
        return bytes(body)

    def _refusal(self, response: requests.Response, body: bytes) -> SourceError:
        status = response.status_code
        if 300 <= status < 400:
            head = f"a redirect to {response.headers.get('Location', 'nowhere')}; name that address as the source"
        else:
            head = _head(body)
        # Too busy, too late or broken inside: another time it may answer.
        busy = SourceBusy if status in (429, 503, 504) else SourceUnreachable
        kind = busy if status >= 500 or status in (408, 429) else SourceRefused
        return kind(self.what, self._whom, self._hide(f"HTTP {status} {head}".rstrip()))

    def _late(self) -> SourceBusy:
        return SourceBusy(self.what, self._whom, f"no whole answer within {self._timeout:g} s")

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _head(body: bytes) -> str:
    """The start of an answer, on one line and printable."""
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _reason(error: BaseException) -> str:
    """What lies behind the layers of a connection error."""
    inside = [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, BaseException)]
    return _reason(inside[0]) if inside else str(error).rpartition(": ")[2] or type(error).__name__
