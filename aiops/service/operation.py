"""What whoever runs aiops asks of it: health, readiness, figures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from aiops import __version__
from aiops.errors import AiopsError
from aiops.schema import http
from aiops.service.desk import At
from aiops.service.metrics import gauge

PING_S = 2.0

router = APIRouter(tags=["operation"])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """The process answers."""
    return "ok\n"


@router.get("/readyz", responses={503: {"model": http.Readiness}})
def readyz(request: Request, response: Response, desk: At) -> http.Readiness:
    """Whether notifications can be taken and diagnosed. A metrics source that is down is told, but costs only a gap.

    Who has no token is not told what the parts say."""
    ops = desk.ops
    needed = [_part("store", ops.store.ping), _part("queue", ops.queue.ping)]
    if desk.embedded:
        needed.append(http.Part(name="worker", ok=desk.worker.up, says="running" if desk.worker.up else "stopped"))
    ready = all(part.ok for part in needed)
    response.status_code = 200 if ready else 503
    parts = [*needed, _part("metrics", ops.sources.metrics.ping)]
    if request.state.principal is None:
        parts = [part.model_copy(update={"says": ""}) for part in parts]
    return http.Readiness(ready=ready, parts=parts)


def _part(name: str, ping: Any) -> http.Part:
    try:
        return http.Part(name=name, ok=True, says=ping(PING_S))
    except AiopsError as error:
        return http.Part(name=name, ok=False, says=str(error))


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(desk: At) -> Response:
    """What this server counts about itself, for Prometheus."""
    gauges = {
        gauge("aiops_build_info", version=__version__): 1.0,
        gauge("aiops_queue_depth"): float(desk.ops.queue.depth()),
        gauge("aiops_worker_up"): float(desk.worker.up),
        gauge("aiops_worker_busy"): float(desk.worker.busy),
    }
    if desk.ops.model is not None:
        gauges |= desk.ops.model.counters()
    return Response(desk.registry.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")
