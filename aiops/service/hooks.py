"""The webhooks: notifications come in, durable when they are answered.

This is the way a storm takes, so nothing stands in it that one alert does not need: the body is parsed by msgspec, FastAPI
only documents these routes.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from aiops.domain import Notification
from aiops.flows.fold import Receipt
from aiops.schema import alertmanager, grafana, http
from aiops.service.desk import PROBLEM, Desk
from aiops.service.guard import SMALL

SIGNATURE = b"x-grafana-alerting-signature"
FRESH_S = 300  # how old a signed moment may be
GRAFANA = "/v1/webhooks/grafana"


@dataclass(frozen=True, slots=True)
class Signature:
    """How Grafana signs: with this secret, and with a moment in the header of this name, if any."""

    secret: bytes
    timestamp_header: bytes = b""
    clock: Callable[[], float] = time.time

    def wrong(self, headers: Mapping[bytes, bytes], body: bytes) -> str:
        """Why a body is not believed to come from Grafana; "" when it is."""
        signed = body
        if self.timestamp_header:
            moment = headers.get(self.timestamp_header, b"")
            if not moment.isdigit() or len(moment) > 12:
                return f"the header {self.timestamp_header.decode()} with the seconds since 1970 is missing"
            if abs(self.clock() - int(moment)) > FRESH_S:
                return f"the signature is not of the last {FRESH_S} s"
            signed = moment + b":" + body
        due = hmac.new(self.secret, signed, hashlib.sha256).hexdigest().encode()
        return "" if hmac.compare_digest(due, headers.get(SIGNATURE, b"").strip()) else "the signature does not fit"


class _Raw(APIRoute):
    """A route whose function reads the request and makes the response by itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast(Callable[[Request], Coroutine[Any, Any, Response]], self.endpoint)


def _body(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


router = APIRouter(prefix="/v1/webhooks", tags=["v1"], route_class=_Raw)


@router.post(
    "/alertmanager",
    status_code=202,
    response_model=http.Receipt,
    responses=PROBLEM,
    openapi_extra=_body("Notification"),
)
async def alertmanager_webhook(request: Request) -> Response:
    """Takes a notification of Alertmanager (version 4). Durable when answered.

    Firing alerts are folded into episodes by group, topology and time, each of which gets one diagnosis; repetitions join it.
    `Location` leads to the first."""
    return await _take(request, await request.body(), alertmanager.notification)


@router.post(
    "/grafana",
    status_code=202,
    response_model=http.Receipt,
    responses=PROBLEM,
    openapi_extra=_body("GrafanaNotification"),
)
async def grafana_webhook(request: Request) -> Response:
    """Takes a notification of Grafana-managed alerting (version 1), as the one of Alertmanager; signed, where a secret is set."""
    body = await request.body()
    signature: Signature | None = request.app.state.signature
    if signature is not None and (wrong := signature.wrong(dict(request.scope["headers"]), body)):
        return JSONResponse({"detail": wrong}, 401)
    return await _take(request, body, grafana.notification)


async def _take(request: Request, body: bytes, parse: Callable[[bytes], Notification]) -> Response:
    desk: Desk = request.app.state.desk
    if len(body) <= SMALL:
        notification = parse(body)
    else:
        notification = await anyio.to_thread.run_sync(parse, body, limiter=request.app.state.parsing)
    receipt = await desk.intake.take(notification)
    _count(desk, notification, receipt)
    headers = {}
    if receipt.diagnoses:
        headers["location"] = desk.link(f"/v1/diagnoses/{receipt.diagnoses[0][0]}")
    return Response(_told(receipt), 202, headers, "application/json")


def _count(desk: Desk, notification: Notification, receipt: Receipt) -> None:
    for fate in ("accepted", "duplicates", "suppressed"):
        if amount := getattr(receipt, fate):
            desk.registry.count("aiops_alerts_total", amount, fate=fate)
    if notification.truncated > 0:
        desk.registry.count("aiops_alerts_truncated_total", notification.truncated)


def _told(receipt: Receipt) -> bytes:
    return msgspec.json.encode(
        {
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "suppressed": receipt.suppressed,
            "diagnoses": [{"id": i, "fingerprints": f} for i, f in receipt.diagnoses],
        }
    )
