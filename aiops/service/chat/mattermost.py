"""Mattermost: slash commands, and buttons under our posts, both at one address.

A command brings a token; a press brings what we signed and Mattermost keeps for itself, so that who brings it is Mattermost.
https://developers.mattermost.com/integrate/slash-commands/custom, https://developers.mattermost.com/integrate/plugins/interactive-messages
"""

from __future__ import annotations

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aiops.errors import NotFound
from aiops.plain import clean, markdown
from aiops.render import language
from aiops.render.language import say
from aiops.service.chat import answering, fields, forms, signatures
from aiops.service.chat.commands import command
from aiops.service.chat.fields import Fields
from aiops.service.chat.platforms import Platform, platforms_of
from aiops.service.chat.pressing import Presser, Pressing
from aiops.service.chat.signatures import Proof
from aiops.service.desk import PROBLEM, Desk

router = APIRouter(prefix="/v1/chat", tags=["v1"])

WAIT_S = 1.5  # Mattermost waits for an answer: what takes longer is told in the thread alone


@router.post("/mattermost", responses=PROBLEM)
async def mattermost(request: Request) -> JSONResponse:
    """A slash command, whose token is in the form or after `Token` in the header, or a press on one of our buttons."""
    platform = platforms_of(request).mattermost
    if platform is None:
        raise NotFound("Mattermost is not set up: chat.mattermost_token_file")
    headers, body = dict(request.scope["headers"]), await request.body()
    if headers.get(b"content-type", b"").startswith(b"application/json"):
        return await _press(request, platform, fields.read(body))
    form = forms.read(body)
    given = form.get(b"token", headers.get(b"authorization", b"").removeprefix(b"Token "))
    proof = signatures.mattermost(platform.secret, given, form.get(b"trigger_id", b""), platform.clock())
    await answering.once(request.app.state.desk, proof)
    return command(request, "mattermost", platform, form)


async def _press(request: Request, platform: Platform, told: Fields) -> JSONResponse:
    """The words are shown to who pressed. Nothing is kept of a press before its button is proved to be ours."""
    desk: Desk = request.app.state.desk
    pressing: Pressing = request.app.state.pressing
    value, trigger = fields.text(fields.part(told, "context"), "value"), fields.text(told, "trigger_id")
    presser = Presser("mattermost", clean(fields.text(told, "user_id"), 128), fields.text(told, "channel_id"))
    await anyio.to_thread.run_sync(pressing.proved, value, presser)
    key = signatures.digest(b"mattermost press", trigger.encode(), value.encode())
    await answering.once(desk, Proof(key, platform.clock() + signatures.REMEMBERED_S))
    words = ""
    with anyio.move_on_after(WAIT_S):
        words = await anyio.to_thread.run_sync(pressing.pressed, desk, value, presser, abandon_on_cancel=True)
    with language.speaking(platforms_of(request).language):
        return JSONResponse({"ephemeral_text": markdown(words or say("It takes a while; the thread will tell."))})
