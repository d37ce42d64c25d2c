"""How a diagnosis goes on, as server-sent events (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from aiops.domain import JobState
from aiops.errors import AiopsError, Overloaded
from aiops.service.desk import PROBLEM, At, Desk

LOOK_S = 0.5
BEAT_S = 15.0  # a comment, so that no proxy takes a long diagnosis for a dead connection
LONGEST_S = 900.0  # then a browser asks again by itself
STREAMS = 64
OPEN = (JobState.QUEUED, JobState.RUNNING)

router = APIRouter(prefix="/v1", tags=["v1"])


@router.get(
    "/diagnoses/{diagnosis_id}/events",
    response_class=StreamingResponse,
    responses=PROBLEM | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(diagnosis_id: str, desk: At) -> Response:
    """Where one diagnosis stands, again at every change, until it has ended.

    Each event is named `diagnosis` and holds what `GET /v1/diagnoses/{id}` answers, with `progress` [done, of] where it is
    known; the last is named `end`."""
    first = await anyio.to_thread.run_sync(_state, desk, diagnosis_id)
    if desk.streams.open >= STREAMS:
        raise Overloaded(f"{STREAMS} diagnoses are being followed already")
    return StreamingResponse(
        _told(desk, diagnosis_id, first), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _told(desk: Desk, diagnosis_id: str, state: tuple[bool, str]) -> AsyncIterator[str]:
    desk.streams.open += 1
    try:
        began = beat = time.monotonic()
        said = ""
        while time.monotonic() - began < LONGEST_S:
            going, text = state
            if text != said or not going:
                yield f"event: {'diagnosis' if going else 'end'}\ndata: {text}\n\n"
                said, beat = text, time.monotonic()
            elif time.monotonic() - beat >= BEAT_S:
                yield ": still here\n\n"
                beat = time.monotonic()
            if not going:
                return
            await anyio.sleep(LOOK_S)
            try:
                state = await anyio.to_thread.run_sync(_state, desk, diagnosis_id)
            except AiopsError:  # a queue that is away comes back; meanwhile nothing is known
                continue
    finally:
        desk.streams.open -= 1


def _state(desk: Desk, diagnosis_id: str) -> tuple[bool, str]:
    """(whether more will come, what is to be told). Raises NotFound, StoreError."""
    found = desk.find(diagnosis_id)
    plain = found.model_dump(mode="json")
    if desk.worker and (progress := desk.worker.progress(diagnosis_id)) is not None:
        plain["progress"] = list(progress)
    return found.status in OPEN, json.dumps(plain)
