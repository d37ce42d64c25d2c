"""WeChat: messages to an official account of ours, in the secure mode, in which alone they are signed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from aiops.render.language import say
from aiops.service.chat import answering, apps, forms, tencent
from aiops.service.chat.apps import Sealed
from aiops.service.chat.signatures import Distrusted
from aiops.service.desk import PROBLEM

router = APIRouter(prefix="/v1/chat", tags=["v1"])

HEARD = "success"


@router.get("/wechat", responses=PROBLEM, response_class=PlainTextResponse)
async def wechat_address(request: Request) -> Response:
    """WeChat asks whether this address is ours: a number that it does not seal, beside a signature."""
    known, told = _apps(request), forms.read(request.scope["query_string"])
    given, moment, nonce, echo = (told.get(name, b"") for name in (b"signature", b"timestamp", b"nonce", b"echostr"))
    app, proof = apps.whose(known, lambda one: one.crypt.check_plain(given, moment, nonce, one.clock()))
    tencent.from_there(request, app)
    if not echo.isalnum():
        raise Distrusted("the echo is no number")
    await answering.once(request.app.state.desk, proof)
    return tencent.echoed(echo)


@router.post("/wechat", responses=PROBLEM, response_class=PlainTextResponse)
async def wechat(request: Request) -> Response:
    """A message, acknowledged within 5 s; the answer comes as a customer-service message."""
    app, fields = await tencent.opened(request, _apps(request))
    if await tencent.repeated(request, app, "wechat", fields) or fields.get("MsgType") == "event":
        return PlainTextResponse(HEARD)
    if fields.get("MsgType") != "text":
        return tencent.said(app, fields, say("Ask something, such as: why is checkout slow?"))
    user = fields.get("FromUserName", "")
    return tencent.said(app, fields, apps.ask(request, app, "wechat", fields.get("Content", ""), user, user, user))


def _apps(request: Request) -> tuple[Sealed, ...]:
    return tuple(apps.some(apps.known(request).wechat, "WeChat"))
