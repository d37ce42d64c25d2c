"""The door-keeper: one ASGI layer that every request passes before any route sees it.

- The `Host` must be one of ours and an `Origin`, if any, too: a page elsewhere can't reach a server on the loopback, neither
  by DNS rebinding nor by a form.
- A body is read whole within a time and a size, unpacked (gzip) within the same size, and only then handed on.
- Every answer forbids sniffing, framing and, unless the route says otherwise, all content.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.service.metrics import Registry

BODY_LIMIT = 16 * 2**20
BODY_TIMEOUT_S = 30.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


class _Denied(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Guard:
    """hosts: names under which this server may be addressed, without port."""

    def __init__(self, app: ASGIApp, registry: Registry, hosts: frozenset[str], limit: int = BODY_LIMIT) -> None:
        self._app, self._registry, self._hosts, self._limit = app, registry, hosts, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._admit(Headers(scope=scope))
            if scope["method"] in ("POST", "PUT", "PATCH"):
                receive = await self._read(scope, receive)
            await self._app(scope, receive, sending)
        except _Denied as denied:
            await _refuse(sending, denied)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._registry.count("aiops_http_requests_total", route=route, code=str(status))
            if scope["path"].startswith("/v1/webhooks/") and status >= 400:
                self._registry.count("aiops_notifications_refused_total", code=str(status))

    def _admit(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in self._hosts:
            raise _Denied(421, f"this server is not {host!r}; set external_url if that is its name")
        origin = headers.get("origin")
        if origin and origin.partition("://")[2] != host:
            raise _Denied(403, "requests from pages of another origin are not answered")

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limit:
            raise _Denied(413, f"the body has {length} bytes; the limit is {self._limit}")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await self._whole(receive)
        except TimeoutError:
            raise _Denied(408, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            body = _gunzip(body, self._limit)
            _drop(scope, b"content-encoding")
        elif encoding != "identity":
            raise _Denied(415, f"content encoding {encoding!r}; only gzip is known")
        return _once(body, receive)

    async def _whole(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Denied(400, "the client went away before the body was complete")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit:
                raise _Denied(413, f"the body is larger than the limit of {self._limit} bytes")
            more = message.get("more_body", False)
        return b"".join(parts)


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


async def _refuse(send: Send, denied: _Denied) -> None:
    body = json.dumps({"detail": denied.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": denied.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
