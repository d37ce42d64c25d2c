"""`aiops worker`: a worker in a process of its own, until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from aiops import __version__
from aiops.errors import AiopsError
from aiops.flows.work import Hand
from aiops.service import logs, process, server, worker
from aiops.service.guard import LOOPBACK, Guard
from aiops.service.metrics import Registry, caches, gauge
from aiops.service.worker import Terms, Worker

DRAIN_S = 8.0
PING_S = 2.0
ENDING = (signal.SIGTERM, signal.SIGINT)


def run(hand: Hand, terms: Terms, listen: str, ready: Callable[[str], None]) -> None:
    """Works until a signal comes, then for `DRAIN_S` more at most. `ready` is told who works, once it does.

    `listen`: where its figures are, on the loopback alone; "" = nowhere. Raises ConfigError."""
    registry = Registry()
    at_work = worker.apart(hand, registry, terms)
    about = (
        f"aiops worker {worker.name()} takes {terms.jobs} at once{' of ' * bool(terms.labels)}{', '.join(terms.labels)}"
    )
    if not listen:
        # Held back for every thread that is started from here on, and taken up below.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        at_work.start()
        ready(about)
        signal.sigwait(ENDING)
        at_work.stop(DRAIN_S)
        return
    for number in ENDING:  # the server raises it again once it has drained
        signal.signal(number, lambda *_: None)
    with server.bind(listen, "worker.listen") as opened:
        app = create(hand, at_work, registry)
        server.of(app, lambda: ready(f"{about}; figures at {server.url(opened)}/metrics")).run(sockets=[opened])


def create(hand: Hand, at_work: Worker, registry: Registry) -> Starlette:
    """The pages of a worker, which works as long as they are there."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        at_work.start()
        with logs.Counted(registry):
            yield
        await anyio.to_thread.run_sync(at_work.stop, DRAIN_S)

    def metrics(_: Request) -> Response:
        gauges = {gauge("aiops_build_info", version=__version__): 1.0} | worker.gauges([at_work.presence])
        gauges |= process.figures() | caches()
        return Response(registry.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")

    def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n") if at_work.up else PlainTextResponse("the worker has ended\n", 503)

    def readyz(_: Request) -> Response:
        try:
            says, ready = hand.queue.ping(PING_S), at_work.up
        except AiopsError as error:
            says, ready = str(error), False
        return JSONResponse({"ready": ready, "queue": says}, 200 if ready else 503)

    app = Starlette(routes=[Route(f"/{page.__name__}", page) for page in (metrics, healthz, readyz)], lifespan=lifespan)
    app.add_middleware(Guard, registry=Registry(), hosts=LOOPBACK)
    return app
