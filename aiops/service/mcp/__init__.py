"""What agents of others may ask, by the Model Context Protocol: at `/mcp` (streamable HTTP) and over standard input and output.

The protocol is that of the official SDK, an extra that takes a second to load: it is imported when the first one asks.
Each request stands by itself, so there are no sessions to keep and any server behind a balancer may answer it.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from aiops.errors import ConfigError
from aiops.ops import Ops
from aiops.service import worker
from aiops.service.access import Access
from aiops.service.desk import Desk
from aiops.service.folder import Folder
from aiops.service.intake import Intake
from aiops.service.metrics import Registry
from aiops.service.repairing import Repairing
from aiops.service.worker import Terms

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"
MISSING = "the Model Context Protocol needs the extra `mcp`: pip install '.[mcp]'"
DRAIN_S = 8.0


class Door:
    """The ASGI endpoint; `stop` once at the end. Used by the event loop alone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._manager: StreamableHTTPSessionManager | None = None
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if find_spec("mcp") is None:
            await JSONResponse({"detail": MISSING}, 501)(scope, receive, send)
            return
        manager = await self._opened()
        await manager.handle_request(scope, receive, send)

    async def stop(self) -> None:
        self._closing.set()
        if self._holding:
            await self._holding

    async def _opened(self) -> StreamableHTTPSessionManager:
        async with self._opening:
            if self._manager is None:
                manager = await anyio.to_thread.run_sync(_manager, self._desk)
                started = asyncio.Event()
                # A task of its own: what the SDK opens must be closed by the task that opened it, and no request lasts as long.
                self._holding = asyncio.create_task(self._hold(manager, started))
                await started.wait()
                self._manager = manager
            return self._manager

    async def _hold(self, manager: StreamableHTTPSessionManager, started: asyncio.Event) -> None:
        async with manager.run():
            started.set()
            await self._closing.wait()


def _manager(desk: Desk) -> StreamableHTTPSessionManager:
    from mcp.server.transport_security import TransportSecuritySettings

    from aiops.service.mcp.tools import server

    # Hosts, origins, tokens and sizes are the guard's, for this path as for all others.
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    made = server(desk)
    made.streamable_http_app(stateless_http=True, json_response=True, transport_security=unguarded)
    return made.session_manager


def stdio(ops: Ops, external_url: str, terms: Terms | None) -> None:
    """Answers one client on standard input and output until it closes them. `terms`: of the worker in here; None = elsewhere.

    ConfigError where the extra is not installed."""
    if find_spec("mcp") is None:
        raise ConfigError(MISSING)
    from aiops.service.mcp.tools import server

    registry = Registry()
    inside = worker.embedded(ops, registry, terms) if terms else None
    folder = Folder(ops, registry, inside.wake if inside else lambda: None)
    desk = Desk(
        ops, registry, inside, Intake(folder.accept), folder, Access(None), Repairing(ops, registry), external_url
    )
    if inside:
        inside.start()
    try:
        anyio.run(server(desk).run_stdio_async)
    finally:
        if inside:
            inside.stop(DRAIN_S)
