"""The application: routes, intake, embedded worker, collector and guard around one Ops.

Handlers that touch the core are plain functions: FastAPI runs them in its thread pool, since the core is synchronous.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from aiops import __version__
from aiops.errors import AiopsError, SourceError
from aiops.ops import Ops
from aiops.ports import Annotations
from aiops.schema import alertmanager, grafana
from aiops.service import (
    approving,
    asking,
    events,
    failures,
    hooks,
    logs,
    looking,
    operation,
    remediations,
    web,
    worker,
)
from aiops.service.access import Access, Principal
from aiops.service.annotating import Annotator
from aiops.service.chat import apps, dingtalk, feishu, mattermost, slack, wechat, wecom
from aiops.service.chat.platforms import Platforms
from aiops.service.chat.pressing import Pressing
from aiops.service.chat.signatures import Distrusted
from aiops.service.chat.telling import Tellers
from aiops.service.chat.wording import Manner
from aiops.service.collect import Collector
from aiops.service.desk import Desk
from aiops.service.folder import Folder
from aiops.service.guard import BODY_LIMIT, HEADERS, LOOPBACK, RETRY_S, Guard
from aiops.service.hooks import Signature
from aiops.service.intake import Intake
from aiops.service.mcp import PATH as MCP
from aiops.service.mcp import Door
from aiops.service.metrics import Registry
from aiops.service.repairing import Repairing
from aiops.service.upkeep import Purger
from aiops.service.worker import Terms

DRAIN_S = 8.0  # with the 2 s that open connections get, within the 10 s of the contract
ROUTERS = (
    hooks.router,
    asking.router,
    events.router,
    looking.v1,
    looking.people,
    web.router,
    approving.router,
    remediations.router,
    operation.router,
    slack.router,
    mattermost.router,
    wecom.router,
    wechat.router,
    feishu.router,
    dingtalk.router,
)
PARSERS = 2  # large bodies parsed at once


class Part(Protocol):
    """What runs while requests are served."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


def create(
    ops: Ops,
    *,
    external_url: str = "",
    body_limit: int = BODY_LIMIT,
    access: Access | None = None,
    signature: Signature | None = None,
    terms: Terms | None = Terms(),  # noqa: B008 - it is frozen
    platforms: Platforms | None = None,
    marks: Annotations | None = None,
) -> FastAPI:
    """The application around `ops`, which the caller closes after it has stopped.

    access: who may come in; None trusts everybody. signature: how Grafana signs, if it does. terms: of the worker
    in here; None leaves all diagnoses to workers elsewhere. platforms: of chat, whose commands are answered. marks: where
    onsets and verdicts are annotated, if anywhere."""
    registry, access = Registry(), access or Access(None)

    known = platforms or Platforms()
    pressing = Pressing(ops.store, known.people, known.language)
    manner = Manner(known.language, ZoneInfo(ops.timezone), external_url)
    tellers = Tellers(ops, registry, manner, pressing.close)
    inside = worker.embedded(ops, registry, terms, tellers.wake) if terms else None
    folder = Folder(ops, registry, inside.wake if inside else lambda: None)
    intake, collector = Intake(folder.accept), Collector(ops, registry, tellers.wake)
    purger = Purger(ops, registry)
    annotator = Annotator(ops, registry, marks, external_url)
    repairing = Repairing(ops, registry)
    desk = Desk(ops, registry, inside, intake, folder, access, repairing, external_url)
    agents = Door(desk)

    first: tuple[Part, ...] = (*known.apps.senders(), intake, folder)
    last: tuple[Part, ...] = (collector, repairing, purger, annotator, tellers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for part in (*first, *last):
            part.start()
        if inside:
            inside.start()
        with logs.Counted(registry):
            yield
        await agents.stop()
        for part in first:
            await anyio.to_thread.run_sync(part.stop)
        if inside:
            await anyio.to_thread.run_sync(inside.stop, DRAIN_S)
        for part in last:
            await anyio.to_thread.run_sync(part.stop)

    app = FastAPI(
        title="aiops",
        version=__version__,
        description="Root-cause analysis of incidents from metrics, logs, traces and topology.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        telemetry={"auto_configure": False},  # else an environment variable could make it send
    )
    app.state.desk = desk
    app.state.signature = signature
    app.state.platforms = known
    app.state.pressing = pressing
    app.state.parsing = anyio.CapacityLimiter(PARSERS)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.append(Route(MCP, agents, methods=["POST"]))
    app.add_exception_handler(AiopsError, _failed)
    app.add_exception_handler(Distrusted, apps.distrusted)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _strayed)
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    named = urlsplit(external_url).hostname
    hosts = LOOPBACK | ({named} if named else frozenset())
    signed = frozenset({hooks.GRAFANA}) if signature else frozenset()
    app.add_middleware(Guard, registry=registry, hosts=hosts, limit=body_limit, access=access, signed=signed)
    return app


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, AiopsError)
    status = 503 if isinstance(error, SourceError) else error.http_status
    headers = {"retry-after": str(RETRY_S)} if status == 503 else None
    return failures.answer(request, status, str(error), headers, _who(request))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return failures.answer(request, 400, told, who=_who(request))


def _strayed(request: Request, error: Exception) -> Response:
    """No such address, or not for this method."""
    assert isinstance(error, HTTPException)
    return failures.answer(request, error.status_code, error.detail, error.headers, _who(request))


def _broken(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the server logs it
    told = failures.answer(request, 500, failures.BROKEN, who=_who(request))
    for name, value in HEADERS.items():  # it is made outside the guard
        told.headers.setdefault(name.decode(), value.decode())
    return told


def _who(request: Request) -> Principal | None:
    found: Principal | None = request.state.principal
    return found


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own, with the webhooks' bodies, and without the 422 that we answer as 400."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        bodies = alertmanager.Notification, grafana.GrafanaNotification
        schema["components"]["schemas"] |= alertmanager.components(*bodies)
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        for path in schema["paths"].values():
            for method in path.values():
                method["responses"].pop("422", None)
        app.openapi_schema = schema
    return app.openapi_schema
