"""WeCom: messages to an application of ours, and presses on the cards that it posted."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from aiops.render.language import say
from aiops.service.chat import apps, forms, tencent
from aiops.service.chat.apps import Sealed
from aiops.service.desk import PROBLEM, Desk

router = APIRouter(prefix="/v1/chat", tags=["v1"])

PRESS = "template_card_event"
NOTHING = ""  # what WeCom takes for: it was heard


@router.get("/wecom", responses=PROBLEM, response_class=PlainTextResponse)
async def wecom_address(request: Request) -> Response:
    """WeCom asks, within 1 s, whether this address is ours: what it sealed comes back open."""
    known, told = _apps(request), forms.read(request.scope["query_string"])
    _, echo = await tencent.unsealed(request, known, told, told.get(b"echostr", b""))
    return tencent.echoed(echo)


@router.post("/wecom", responses=PROBLEM, response_class=PlainTextResponse)
async def wecom(request: Request) -> Response:
    """A message or an event, acknowledged within 5 s; the answer comes as a message of the application."""
    app, fields = await tencent.opened(request, _apps(request))
    if await tencent.repeated(request, app, "wecom", fields):
        return PlainTextResponse(NOTHING)
    user = fields.get("FromUserName", "")
    if fields.get("MsgType") == "text":
        words = apps.ask(request, app, "wecom", fields.get("Content", ""), user, user, user)
        return tencent.said(app, fields, words)
    if fields.get("MsgType") == "event":
        if fields.get("Event") == PRESS:
            _pressed(request, app, user, fields.get("EventKey", ""))
        return PlainTextResponse(NOTHING)
    return tencent.said(app, fields, say("Ask something, such as: why is checkout slow?"))


def _pressed(request: Request, app: Sealed, user: str, value: str) -> None:
    """What came of it is told to who pressed. WeCom does not say where a card stood: it is one of what this application posts to."""
    desk: Desk = request.app.state.desk
    own = f"wecom:{app.name}/"
    channels = [chat.name.removeprefix("wecom:") for chat in desk.ops.chats if chat.name.startswith(own)]
    apps.tell(request, app, user, lambda: apps.press(request, app, "wecom", value, user, channels))


def _apps(request: Request) -> tuple[Sealed, ...]:
    return tuple(apps.some(apps.known(request).wecom, "WeCom"))
