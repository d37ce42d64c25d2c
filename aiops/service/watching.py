"""`aiops watch` as a service: the stream in a thread of its own, and the pages that tell of it.

/metrics      scores, forecasts and what the watch counts about itself, for Prometheus
/cardinality  what is known of each label, and which are compressed and why
/healthz      the stream is alive        /readyz  every selection was read, and how far
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from aiops import __version__
from aiops.flows.watch import Watch
from aiops.schema import exposition
from aiops.schema.exposition import Family, labels
from aiops.service.guard import LOOPBACK, Guard
from aiops.service.metrics import Registry

log = logging.getLogger(__name__)

LATE_STEPS = 10  # of delay, after which the watch is not ready


class Watcher:
    """Ticks a watch whenever a step can be evaluated, and saves it every `save_s` seconds and at the end.

    An error that nobody foresaw is kept as `failure`, `failed` is called, and what it left half done is not saved."""

    def __init__(
        self,
        watch: Watch,
        save_s: float,
        clock: Callable[[], float] = time.time,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.watch, self._save_s, self._clock, self._failed = watch, save_s, clock, failed
        self.failure: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._shown: list[Family] = []
        self._report: list[dict[str, Any]] = []
        self._untils: dict[str, int] = watch.untils
        self._saved = clock()

    @property
    def up(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the read in hand, then saves."""
        self._stopping.set()
        self._thread.join()

    def metrics(self) -> str:
        """What there was to expose after the last tick, and how old that is now."""
        about = Family("aiops_build_info", "gauge", "Version, as a label.", [(labels(version=__version__), 1.0)])
        return exposition.page([*self._shown, self._lag(), about])

    def report(self) -> list[dict[str, Any]]:
        return self._report

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """(whether what is exposed can be relied upon, why)."""
        lag = {query: round(seconds, 1) for query, seconds in self._lags().items()}
        late = any(seconds > LATE_STEPS * self.watch.plan.step_s for seconds in lag.values())
        ready = self.up and self.watch.ready and not late
        return ready, {"ready": ready, "read": self.watch.ready, "stream": self.up, "lag_seconds": lag}

    def _lags(self) -> dict[str, float]:
        now = self._clock()
        return {query: now - until for query, until in self._untils.items()}

    def _lag(self) -> Family:
        rows = [(labels(selection=query), seconds) for query, seconds in self._lags().items()]
        return Family("aiops_watch_lag_seconds", "gauge", "Age of the newest step that is evaluated.", rows)

    def _run(self) -> None:
        try:
            self._stream()
            self.watch.save(self._clock())
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever started the thread has to end with it
            self.failure = error
            self._failed()

    def _stream(self) -> None:
        while not self._stopping.is_set():
            now = self._clock()
            self.watch.tick(now, self._stopping.is_set)
            # Replaced, never changed: whoever asks meanwhile sees one tick whole.
            self._shown, self._report = self.watch.families(), self.watch.names.report()
            self._untils = self.watch.untils
            if now - self._saved >= self._save_s:
                self.watch.save(now)
                self._saved = now
            self._stopping.wait(max(self.watch.next_s(now) - self._clock(), 0.0))


def create(watcher: Watcher) -> Starlette:
    """The application around a watcher, which runs as long as it does."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watcher.start()
        yield
        await anyio.to_thread.run_sync(watcher.stop)

    def metrics(_: Request) -> Response:
        body = watcher.metrics().encode("utf-8", "replace")
        return Response(body, headers={"content-type": exposition.CONTENT_TYPE})

    def cardinality(_: Request) -> Response:
        return JSONResponse({"labels": watcher.report()})

    def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n") if watcher.up else PlainTextResponse("the stream has ended\n", 503)

    def readyz(_: Request) -> Response:
        ready, told = watcher.readiness()
        return JSONResponse(told, 200 if ready else 503)

    pages = (metrics, cardinality, healthz, readyz)
    app = Starlette(routes=[Route(f"/{page.__name__}", page) for page in pages], lifespan=lifespan)
    app.add_middleware(Guard, registry=Registry(), hosts=LOOPBACK)
    return app
