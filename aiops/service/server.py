"""Runs the application on a socket until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from aiops.errors import ConfigError
from aiops.ops import Ops
from aiops.ports import Annotations
from aiops.service import api
from aiops.service.access import Access
from aiops.service.chat.platforms import Platforms
from aiops.service.guard import LOOPBACK
from aiops.service.hooks import Signature
from aiops.service.protocol import Patient
from aiops.service.worker import Terms

CLOSE_S = 2  # what open connections get at the end


def bind(listen: str, setting: str = "service.listen", *, anywhere: bool = False) -> socket.socket:
    """A socket that listens on `HOST:PORT` (port 0: any free one), as `setting` says.

    ConfigError when it is no address, is taken, or, unless it may be `anywhere`, is not on the loopback: without tokens
    nobody could be told apart."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{setting}: {listen!r} is not HOST:PORT")
    if not anywhere and host not in LOOPBACK:
        raise ConfigError(
            f"{setting}: {host} is not the loopback, and without tokens everybody there would be trusted; "
            "listen on 127.0.0.1, or set service.tokens_file"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio only switches Nagle's delay (40 ms an answer) off where the protocol is named.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, int(port)))
    except OSError as error:
        opened.close()
        raise ConfigError(f"{setting}: can't listen on {listen}: {error.strerror}") from error
    return opened


def url(opened: socket.socket) -> str:
    """The address a client uses."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(
    ops: Ops,
    *,
    external_url: str,
    body_limit: int,
    ready: Callable[[], None],
    access: Access | None = None,
    signature: Signature | None = None,
    terms: Terms | None = Terms(),  # noqa: B008 - it is frozen
    platforms: Platforms | None = None,
    marks: Annotations | None = None,
) -> uvicorn.Server:
    """A server; its `run(sockets=[...])` serves until a signal, or until its `should_exit` is set from another thread.

    It takes no new request then, lets the running diagnosis end, and returns within 10 s. `ready` is called once requests
    are answered."""
    app = api.create(
        ops,
        external_url=external_url,
        body_limit=body_limit,
        access=access,
        signature=signature,
        terms=terms,
        platforms=platforms,
        marks=marks,
    )
    return of(app, ready)


def settle() -> None:
    """For the process that serves: what is loaded by now stays, and alerts make no cycles.

    So the collector leaves the first alone and looks for the second less often, which saves a tenth of a storm's CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def of(app: ASGIApp, ready: Callable[[], None]) -> uvicorn.Server:
    """A server of any application, as `server` is one of the whole house."""
    config = uvicorn.Config(
        app,
        http=Patient,
        log_config=None,  # logging is the caller's
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_S,
        timeout_keep_alive=75,
    )
    return _Server(config, ready)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
