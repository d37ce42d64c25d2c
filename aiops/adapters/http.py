"""The door to every source that speaks HTTP: who is asked and with which secret (`Access`), and one conversation under one
deadline (`Session`) in which every failure is a SourceError that says what was asked, of whom, and what came back.

What another try may mend is tried again while the time lasts: no connection, one that broke, 502, 503, 504, and 429 where the
server says when. Nearly all of it is reading, so that nothing happens twice; what is not says `tries=1`. `gate` bounds how much is asked at once, and of whom.
"""

from __future__ import annotations

import base64
import http.client
import io
import random
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event, Timer
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import numpy as np
import requests
from numpy.typing import NDArray
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from aiops.adapters.gate import REQUESTS, Gate, Shut
from aiops.errors import (
    ConfigError,
    SourceBusy,
    SourceError,
    SourceGarbled,
    SourceLate,
    SourceRefused,
    SourceUnreachable,
)
from aiops.kernels.wire import chunked

MAX_BODY = 1 << 30  # bytes, unpacked; an answer beyond it is no answer one can work with
EXPANSION = 300  # times that an honest answer unpacks to, at most; zeros and little else give 1,000
TRIES = 3
FIRST_PAUSE_S = 0.2  # before the second try, at most; twice as long before each next

_FIRST_ROOM = 64 << 20  # bytes that a body may have before its buffer is copied; memory is used as it fills
_PIECE = 1 << 20
_BULK, _NAP_S = 1 << 17, 0.002  # bytes of a body in chunks from which on reads may wait to bring more
_AGAIN = {502, 503, 504}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """Where a source is, and the secrets that open it: a bearer `token`, or `user` and `password`, or a client certificate
    (in `tls`); a `tenant`, where one server keeps several."""

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    tenant: str = ""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    gate: Gate = field(default_factory=Gate, compare=False)

    @staticmethod
    def to(
        url: str,
        scheme: str,
        source: str,
        *,
        token: str = "",
        user: str = "",
        password: str = "",
        tenant: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
    ) -> Access:
        """`url` without `scheme+`, checked. ConfigError for an address that is none or that holds a password, and for files
        that hold no certificate or key.

        `source`: what the message calls it, as in "metrics source". `ca_file` instead of the usual authorities;
        `cert_file`, and `key_file` unless it holds the key too, to show who we are."""
        base = _base(url.removeprefix(f"{scheme}+"), scheme, source)
        tls = None
        if base.startswith("https:"):
            tls = _tls(ca_file, cert_file, key_file, source)
        elif ca_file or cert_file or key_file:
            raise ConfigError(f"the {source} has a certificate, which needs an https address, not {base}")
        return Access(base, token, user, password, tenant, tls)

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

    def session(self, what: str, timeout: float, tries: int = TRIES) -> Session:
        """A conversation about `what` that is over in `timeout` seconds. tries: of each request; 1 where a second one, after an
        answer that broke off, could do again what was done."""
        session = Session(what, self, timeout, tries)
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
        with ThreadPoolExecutor(min(REQUESTS, len(asks)), thread_name_prefix="ask") as pool:
            shares = list(pool.map(work, [asks[i::REQUESTS] for i in range(min(REQUESTS, len(asks)))]))
        return [shares[i % REQUESTS][i // REQUESTS] for i in range(len(asks))]


def _base(address: str, scheme: str, source: str) -> str:
    address = address.rstrip("/")
    form = f"that is {scheme}{'+' * bool(scheme)}http(s)://HOST[:PORT][/PREFIX]"
    try:
        parts = urlsplit(address)
    except ValueError:  # which may tell the address, and a password in it
        raise ConfigError(f"the address of the {source} is none; {form}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not _port_is_valid(parts):
        raise ConfigError(f"{parts.scheme}://{parts.hostname or ''} is no address of a {source}; {form}")
    if parts.username or parts.password:
        raise ConfigError(f"the address of the {source} {parts.hostname} holds a password; name a file with it instead")
    if parts.query or parts.fragment:
        raise ConfigError(f"the address of the {source} {parts.hostname} has a query or a fragment, which it can't use")
    return address


def _tls(ca_file: str, cert_file: str, key_file: str, source: str) -> ssl.SSLContext:
    def place(file: str) -> str | None:
        return str(Path(file).expanduser()) if file else None

    if key_file and not cert_file:
        raise ConfigError(f"the {source} has a key file, which needs the certificate that goes with it")
    try:
        context = ssl.create_default_context(cafile=place(ca_file) or DEFAULT_CA_BUNDLE_PATH)
        if cert_file:
            # An encrypted key would be asked for on the terminal: a service has nobody there.
            context.load_cert_chain(str(place(cert_file)), place(key_file), password=b"")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        files = ", ".join(file for file in (ca_file, cert_file, key_file) if file)
        raise ConfigError(f"the {source}: can't use {files}: {getattr(error, 'strerror', None) or error}") from error
    return context


def _port_is_valid(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


class _Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: NDArray[np.uint8]


class Session(requests.Session):
    """One conversation, `timeout` seconds long altogether; every failure in it is a SourceError about `what`.

    Neither a proxy nor a password is taken from the environment, and no redirect is followed: only the configured address
    is ever asked. It is a requests.Session for the library that wants one; the wire is read by `http.client`, straight into
    the array that the answer stays in.
    """

    def __init__(self, what: str, access: Access, timeout: float, tries: int = TRIES) -> None:
        super().__init__()
        self._tries = tries
        self.trust_env = False
        self.what, self._access, self._timeout = what, access, timeout
        self._ends = time.monotonic() + timeout
        self._open: http.client.HTTPConnection | None = None

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
            answer = self._exchange(requests.Request(method, url, params=params, data=form or None, json=body))
        except SourceRefused as error:
            if missing is not None and error.came_back.startswith("HTTP 404"):
                return missing
            raise
        return answer.body.tobytes()

    def bulk(
        self, url: str, data: Mapping[str, str] | bytes, headers: Mapping[str, str]
    ) -> tuple[NDArray[np.uint8], str]:
        """(the body of a 2xx answer, its content type) to a POST, as it lies in memory: for answers of many MiB.

        The server is asked not to compress it: unpacking costs more than all the rest of reading."""
        plain = {"Accept-Encoding": "identity", **headers}
        answer = self._exchange(requests.Request("POST", url, data=data, headers=plain))
        return answer.body, answer.headers.get("Content-Type", "")

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ARG002 - requests' own
        """As requests sends, within the deadline, with the body read whole. Raises SourceError."""
        answer = self._tried(request)
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, request.url or "", request
        response.headers.update(answer.headers.items())
        response.raw = io.BytesIO(answer.body.tobytes())
        return response

    def decode(self, body: bytes | msgspec.Raw, kind: type[T]) -> T:
        """The body as `kind`. Raises SourceGarbled."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.garbled(f"{error}: {_head(bytes(body))}") from error

    def garbled(self, came_back: str) -> SourceGarbled:
        return SourceGarbled(self.what, self._access.url, self.shown(came_back))

    def close(self) -> None:
        super().close()
        self._hang_up()

    def any_answer(self, url: str) -> _Answer:
        """What is said to a GET, whatever its status. Raises SourceError."""
        return self._answer(self.prepare_request(requests.Request("GET", url)))

    # ------------------------------------------------ trying

    def _exchange(self, request: requests.Request) -> _Answer:
        return self._tried(self.prepare_request(request))

    def _tried(self, request: requests.PreparedRequest) -> _Answer:
        """A 2xx answer, through the gate, which hears how it went. Raises SourceError."""
        gate = self._access.gate
        try:
            with gate.turn(self.remaining()):
                try:
                    answer = self._answer(request)
                except SourceUnreachable as error:
                    gate.failed(error.came_back)
                    raise
                except SourceError:
                    gate.answered()
                    raise
                if answer.status in _AGAIN:
                    gate.failed(f"HTTP {answer.status}")
                else:
                    gate.answered()
        except Shut as shut:
            raise SourceUnreachable(self.what, self._access.url, str(shut)) from shut
        if answer.status // 100 != 2:
            raise self._refusal(answer)
        return answer

    def _answer(self, request: requests.PreparedRequest) -> _Answer:
        """What came back at last, after as many tries as are worth it. Raises SourceError."""
        pause = FIRST_PAUSE_S
        for left in reversed(range(self._tries)):
            wait = random.uniform(0, pause)  # noqa: S311 - jitter: those who failed together don't return together
            try:
                answer = self._once(request)
            except _Broken as error:
                if not left or wait >= self.remaining():
                    raise SourceUnreachable(self.what, self._access.url, self.shown(str(error))) from error
            else:
                asked = _retry_after(answer)
                again = answer.status in _AGAIN or (answer.status == 429 and asked is not None)
                wait = max(wait, asked or 0.0)
                if not left or not again or wait >= self.remaining():
                    return answer
            time.sleep(wait)
            pause *= 2
        raise AssertionError("unreachable: the last try returns or raises")

    # ------------------------------------------------ the wire

    def _once(self, request: requests.PreparedRequest) -> _Answer:
        """Whatever came back. Raises _Broken where another try may do better, else SourceError."""
        parts = urlsplit(request.url or "")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self._connection(parts) as connection:
            connection.request(request.method or "GET", path, request.body, dict(request.headers))
            with connection.getresponse() as response:  # it may hold the socket when the connection no longer does
                answer = _Answer(response.status, response.headers, self._body(response))
            if response.will_close:
                self._hang_up()
            return answer

    @contextmanager
    def _connection(self, parts: SplitResult) -> Iterator[http.client.HTTPConnection]:
        """The open connection or a new one, which is cut when the time is up: a server that drips keeps nobody waiting."""
        watch = None
        try:
            if self._open is None:
                self._open = self._connect(parts)
            watch = Timer(self.remaining(), _cut, [self._open.sock])
            watch.daemon = True
            watch.start()
            yield self._open
        except BaseException as error:
            self._hang_up()
            if isinstance(error, OSError | http.client.HTTPException | ValueError):
                self.remaining()  # says so when the time is up
                if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                    raise SourceUnreachable(self.what, self._access.url, self.shown(_reason(error))) from error
                raise _Broken(_reason(error)) from error
            raise
        finally:
            if watch is not None:
                watch.cancel()

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        host, port, seconds = parts.hostname or "", parts.port, self.remaining()
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            tls = self._access.tls or ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
            connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=seconds)
        connection.connect()
        return connection

    def _hang_up(self) -> None:
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    def _body(self, response: http.client.HTTPResponse) -> NDArray[np.uint8]:
        coding = response.headers.get("Content-Encoding", "identity").lower()
        if coding in {"gzip", "x-gzip", "deflate"}:
            return self._unpacked(response)
        if coding != "identity":
            raise self.garbled(f"an answer in the unknown encoding {coding}")
        if response.chunked:
            return self._joined(response)
        room = np.empty(_FIRST_ROOM if response.length is None else min(response.length, MAX_BODY) + 1, np.uint8)
        filled = 0
        while count := response.readinto(room.data[filled : filled + _PIECE]):
            filled += count
            self._bound(filled)
            if filled == len(room):
                more = np.empty(2 * len(room), np.uint8)
                more[:filled] = room
                room = more
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return room[:filled]

    def _joined(self, response: http.client.HTTPResponse) -> NDArray[np.uint8]:
        """A body in chunks: read as it comes, since the standard library handles each chunk for itself."""
        room = np.empty(_FIRST_ROOM, np.uint8)
        # What came with the headers is in the reader's buffer. Past that its raw side is read: asked for more than it holds,
        # `readinto1` waits for the next bytes, which after the end of the body never come.
        count = response.fp.readinto1(room.data[: len(response.fp.peek(1))])
        size = filled = left = 0
        while count:
            size, filled, left, done = chunked.join(room, size, filled + count, left)
            if size == chunked.MALFORMED:
                raise self.garbled("an answer whose chunks are none")
            self._bound(size)
            if done:
                response.close()  # read to its end: the connection is free again
                return room[:size]
            if filled == len(room):
                room = np.concatenate([room, np.empty(len(room), np.uint8)])
            if filled > _BULK and count < _BULK:
                # A server that flushes each chunk is a system call for each: let some come together.
                time.sleep(_NAP_S)
            count = response.fp.raw.readinto(room.data[filled : filled + _PIECE]) or 0
        raise http.client.IncompleteRead(b"")

    def _unpacked(self, response: http.client.HTTPResponse) -> NDArray[np.uint8]:
        """A compressed body; no more of it is unpacked than is allowed."""
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
        body, packed = bytearray(), 0
        while piece := response.read1(1 << 16):
            packed += len(piece)
            try:
                while piece and not unpack.eof:
                    body += unpack.decompress(piece, _PIECE)
                    piece = unpack.unconsumed_tail
                    self._bound(len(body), packed)
            except zlib.error as error:
                raise self.garbled(f"a compressed answer that can't be unpacked: {error}") from error
        if packed and not unpack.eof:
            raise http.client.IncompleteRead(b"")
        response.close()  # `read1` leaves a body of known length open at its end, and the connection with it
        return np.frombuffer(body, np.uint8)

    def _bound(self, size: int, packed: int | None = None) -> None:
        self.remaining()
        if size > MAX_BODY:
            raise self.garbled(f"more than {MAX_BODY >> 20} MiB; ask for fewer series or a shorter time")
        if packed is not None and size > EXPANSION * max(packed, 1 << 16):
            raise self.garbled(f"{packed >> 10} KiB that unpack to more than {size >> 20} MiB: a decompression bomb")

    # ------------------------------------------------ saying so

    def _refusal(self, answer: _Answer) -> SourceError:
        status = answer.status
        if 300 <= status < 400:
            head = f"a redirect to {answer.headers.get('Location', 'nowhere')}; name that address as the source"
        else:
            head = _head(answer.body[:400].tobytes())
        # Too busy, too late or broken inside: another time it may answer.
        busy = SourceBusy if status in (429, 503, 504) else SourceUnreachable
        kind = busy if status >= 500 or status in (408, 429) else SourceRefused
        return kind(self.what, self._access.url, self.shown(f"HTTP {status} {head}".rstrip()))

    def _late(self) -> SourceLate:
        return SourceLate(self.what, self._access.url, f"no whole answer within {self._timeout:g} s")

    def shown(self, text: str) -> str:
        """What came back as a message may show it: on one line, printable, without a secret."""
        for secret in self._access.secrets:
            text = text.replace(secret, "***")
        return _printable(text)


def skew_s(access: Access, timeout: float) -> float | None:
    """Seconds by which a server's clock is at least ahead of ours (behind: below 0), by the date of whatever it answers, which is of
    whole seconds and of some moment between question and answer (RFC 9110, 6.6.1).

    None where it tells none. Raises SourceError."""
    with access.session("its clock", timeout) as session:
        asked = time.time()
        answer = session.any_answer(f"{access.url}/")
        answered = time.time()
        try:
            told = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except (TypeError, ValueError):
            return None
    return max(told - answered, 0.0) + min(told + 1 - asked, 0.0)


class _Broken(Exception):
    """The connection could not be made, or broke; the message says how."""


def _cut(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself


def _retry_after(answer: _Answer) -> float | None:
    """Seconds until the server wants to be asked again, where it says so (RFC 9110, 10.2.3)."""
    told = answer.headers.get("Retry-After", "").strip()
    if told.isdigit():
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _head(body: bytes) -> str:
    """The start of an answer, on one line and printable."""
    return _printable(body[:400].decode("utf-8", "replace"))[:200]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def _reason(error: BaseException) -> str:
    """What broke a connection, in a few words."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut short"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
