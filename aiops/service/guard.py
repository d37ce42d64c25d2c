"""The door-keeper: one ASGI layer that every request passes before any route sees it.

- Without tokens, the `Host` must be one of ours; an `Origin`, if any, must always be: a page elsewhere can't reach a server on
  the loopback, neither by DNS rebinding nor by a form.
- Who asks must have the role that the request needs (access.py).
- A body is read whole within a time and a size, unpacked (gzip) within the same size, and only then handed on; what all
  requests hold together is bounded, too.
- Every answer forbids sniffing, framing and, unless the route says otherwise, all content.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.service import failures, pages
from aiops.service.access import Access, Principal, Role, needed
from aiops.service.metrics import Registry

BODY_LIMIT = 16 * 2**20
BODY_TIMEOUT_S = 30.0
HELD_BODIES = 2  # of the largest size, which all requests may hold together
RETRY_S = 5
SMALL = 64 * 1024  # bytes that are unpacked and parsed at once; others would hold up the event loop
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

HEADERS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
}
_ALL = list(HEADERS.items())
BEARER = {"www-authenticate": "Bearer"}


class _Denied(Exception):
    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, who: Principal | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.who = status, detail, headers or {}, who

    def answer(self, request: Request) -> Response:
        return failures.answer(request, self.status, self.detail, self.headers, self.who)


class Guard:
    """hosts: names under which this server may be addressed, without port. signed: paths that check a signature themselves."""

    def __init__(
        self,
        app: ASGIApp,
        registry: Registry,
        hosts: frozenset[str],
        limit: int = BODY_LIMIT,
        access: Access | None = None,
        signed: frozenset[str] = frozenset(),
    ) -> None:
        self._app, self._registry, self._hosts, self._limit = app, registry, hosts, limit
        self._access, self._signed = access or Access(None), signed
        self._held = 0  # bytes of bodies
        self._unpacking = anyio.CapacityLimiter(2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, held = 500, 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.setdefault("headers", [])
                names = {name for name, _ in given}
                message["headers"] = [*given, *(pair for pair in _ALL if pair[0] not in names)]
            await send(message)

        try:
            headers = dict(scope["headers"])
            self._admit(headers)
            scope.setdefault("state", {})["principal"] = self._entitled(scope, headers)
            if scope["method"] in ("POST", "PUT", "PATCH"):
                body = await self._read(headers, receive)
                held = len(body)
                body = await self._unpacked(scope, headers, body)
                self._held += len(body) - held
                held = len(body)
                receive = _once(body, receive)
            await self._app(scope, receive, sending)
        except _Denied as denied:
            await denied.answer(Request(scope))(scope, receive, sending)
        finally:
            self._held -= held
            route = getattr(scope.get("route"), "path", "other")
            self._registry.count("aiops_http_requests_total", route=route, code=str(status))
            if status >= 400 and scope["path"].startswith("/v1/webhooks/"):
                self._registry.count("aiops_notifications_refused_total", code=str(status))

    # ------------------------------------------------------------ who

    def _admit(self, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        # A foreign name that leads here matters where no token is needed: a page could then act as whoever looks at it.
        if self._access.open and _hostname(f"//{host}") not in self._hosts:
            raise _Denied(421, f"this server is not {host!r}; set external_url if that is its name")
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin.partition("://")[2] != host:
            raise _Denied(403, "requests from pages of another origin are not answered")

    def _entitled(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Who asks, None for anybody. Denied unless that is enough."""
        path = scope["path"]
        role = None if path in self._signed else needed(scope["method"], path)
        who = self._access.who(headers)
        if role is None or (who is not None and who.role >= role):
            return who
        if who is not None:
            least = Role(role).name.lower()
            raise _Denied(403, f"{who.name} is {who.role.name.lower()}; this needs the role {least}", who=who)
        if scope["method"] == "GET" and failures.wants_page(Request(scope)):
            query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
            raise _Login(path + query)
        raise _Denied(401, "a token is needed: Authorization: Bearer TOKEN", BEARER)

    # ------------------------------------------------------------ the body

    async def _read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The body as it was sent, which counts as held."""
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            raise _Denied(413, f"the body has {int(length)} bytes; the limit is {self._limit}")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for part in _parts(receive):
                    self._hold(len(part))
                    size += len(part)
                    parts.append(part)
                    if size > self._limit:
                        raise _Denied(413, f"the body is larger than the limit of {self._limit} bytes")  # noqa: TRY301
        except BaseException as error:
            self._held -= size
            if isinstance(error, TimeoutError):
                raise _Denied(408, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, size: int) -> None:
        if self._held + size > HELD_BODIES * self._limit:
            raise _Denied(503, "too much is being received at once", {"retry-after": str(RETRY_S)})
        self._held += size

    async def _unpacked(self, scope: Scope, headers: Mapping[bytes, bytes], body: bytes) -> bytes:
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding == b"identity":
            return body
        if encoding != b"gzip":
            raise _Denied(415, f"content encoding {encoding.decode('latin-1')!r}; only gzip is known")
        _drop(scope, b"content-encoding")
        return await anyio.to_thread.run_sync(_gunzip, body, self._limit, limiter=self._unpacking)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Denied(400, "the client went away before the body was complete")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _gunzip(body: bytes, limit: int) -> bytes:
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data = unpack.decompress(body, limit + 1)
    except zlib.error as error:
        raise _Denied(400, f"the body is not gzip: {error}") from error
    if len(data) > limit:
        raise _Denied(413, f"the unpacked body is larger than the limit of {limit} bytes")
    if not unpack.eof:
        raise _Denied(400, "the gzip body is cut off")
    return data


def _drop(scope: MutableMapping[str, Any], name: bytes) -> None:
    scope["headers"] = [(k, v) for k, v in scope["headers"] if k.lower() != name]


def _once(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


class _Login(_Denied):
    """A person who has not told who they are, and what they wanted to see."""

    def __init__(self, wanted: str) -> None:
        super().__init__(401, "a token is needed", BEARER)
        self.wanted = wanted

    def answer(self, request: Request) -> Response:
        page = pages.login(self.wanted, reader=pages.Reader(pages.spoken(request)))
        return HTMLResponse(page, self.status, {**self.headers, **pages.headers()})
