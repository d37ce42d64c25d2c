"""What whoever runs aiops asks of it: health, readiness, figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from aiops import __version__
from aiops.errors import AiopsError
from aiops.flows import work
from aiops.schema import http
from aiops.service import process
from aiops.service.desk import At, Desk
from aiops.service.metrics import Labelled, caches, gauge
from aiops.service.worker import gauges as of_workers

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
    if worker := desk.worker:
        needed.append(http.Part(name="worker", ok=worker.up, says="running" if worker.up else "stopped"))
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
    about = gauge("aiops_build_info", version=__version__, external_url=desk.external_url.rstrip("/"))
    gauges = {about: 1.0} | process.figures() | _queue(desk)
    if desk.ops.model is not None:
        gauges |= desk.ops.model.counters()
    gauges |= desk.folder.figures() | desk.repairing.figures() | caches()
    return Response(desk.registry.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


def _queue(desk: Desk) -> dict[Labelled, float]:
    """What waits and who works; of a queue that is away only that it is."""
    queue, here = desk.ops.queue, desk.worker.presence if desk.worker else None
    try:
        lanes, workers, oldest = queue.lanes(), queue.workers(), queue.oldest()
    except AiopsError:
        return {gauge("aiops_queue_up"): 0.0} | (of_workers([here]) if here else {})
    if here:  # its own word is newer than what it last announced
        workers = (here, *(worker for worker in workers if worker.name != here.name))
    waiting = {
        gauge("aiops_jobs_unmatched", labels=",".join(needed)): n
        for needed, n in work.unmatched(lanes, workers).items()
    }
    about = {gauge("aiops_queue_up"): 1.0, gauge("aiops_queue_depth"): float(sum(lanes.values()))}
    about[gauge("aiops_queue_oldest_seconds")] = (
        max((datetime.now(UTC) - oldest).total_seconds(), 0.0) if oldest else 0.0
    )
    return about | waiting | of_workers(workers)
