"""DingTalk: messages to the robot of an app of ours, in the mode in which it calls an address.

https://open.dingtalk.com/document/orgapp/receive-message
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aiops.plain import clean
from aiops.service.chat import answering, apps, signatures
from aiops.service.chat.fields import part, read, text
from aiops.service.chat.signatures import Distrusted
from aiops.service.desk import PROBLEM

router = APIRouter(prefix="/v1/chat", tags=["v1"])


@router.post("/dingtalk", responses=PROBLEM)
async def dingtalk(request: Request) -> JSONResponse:
    """A message to the robot; what is said at once stands in the answer, the verdict goes to the message's own address."""
    known = tuple(apps.some(apps.known(request).dingtalk, "DingTalk"))
    desk, body, headers = request.app.state.desk, await request.body(), dict(request.scope["headers"])
    app, proof = apps.whose(known, lambda one: signatures.dingtalk(one.secret, headers, body, one.clock()))
    message = read(body)
    if text(message, "robotCode") not in ("", app.own):
        raise Distrusted("the message is for another robot")
    await answering.once(desk, proof)
    number = text(message, "msgId")
    user = text(message, "senderStaffId") or text(message, "senderId")
    stranger = text(message, "senderCorpId") != text(message, "chatbotCorpId")  # who sits in a shared group may not ask
    if stranger or not user or (number and not await apps.first(desk, app, "dingtalk", number)):
        return JSONResponse({"msgtype": "empty"})
    asked = text(part(message, "text"), "content") if text(message, "msgtype") == "text" else ""
    talk, address = text(message, "conversationId"), text(message, "sessionWebhook")
    words = apps.ask(request, app, "dingtalk", asked, user, talk, address)
    return JSONResponse({"msgtype": "text", "text": {"content": clean(words)}})
