"""Feishu and Lark: messages to the bot of an app of ours, and presses on the cards that it posted.

https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aiops.plain import clean
from aiops.service.chat import answering, apps, signatures
from aiops.service.chat.apps import FeishuApp
from aiops.service.chat.fields import Fields, part, read, text
from aiops.service.chat.signatures import Distrusted, Proof
from aiops.service.desk import PROBLEM, Desk

router = APIRouter(prefix="/v1/chat", tags=["v1"])

MESSAGE, PRESS = "im.message.receive_v1", "card.action.trigger"
LONGEST_TOAST = 300
_MENTION = re.compile(r"@_(?:user_\d+|all)\b")


@router.post("/feishu", responses=PROBLEM)
async def feishu(request: Request) -> JSONResponse:
    """An event of an app, within 3 s: is this address ours, a message to the bot, a press on a card."""
    known = tuple(apps.some(apps.known(request).feishu, "Feishu"))
    desk, body = request.app.state.desk, await request.body()
    encrypted = text(read(body), "encrypt").encode()
    if challenge := await _challenge(desk, known, encrypted):
        return JSONResponse({"challenge": challenge})
    headers = dict(request.scope["headers"])
    app, proof = apps.whose(known, lambda one: signatures.feishu(one.key, headers, body, one.clock()))
    event = read(signatures.feishu_open(app.key, encrypted))
    header = part(event, "header")
    signatures.feishu_token(app.token, text(header, "token").encode())
    if text(header, "app_id") != app.own:
        raise Distrusted("the event is for another app")
    await answering.once(desk, proof)
    return JSONResponse(await _taken(request, app, header, part(event, "event")))


async def _taken(request: Request, app: FeishuApp, header: Fields, event: Fields) -> Fields:
    """What to answer an event that is believed."""
    if not await apps.first(request.app.state.desk, app, "feishu", text(header, "event_id")):
        return {}
    if text(header, "event_type") == MESSAGE:
        _asked(request, app, header, event)
    if text(header, "event_type") == PRESS and not _stranger(header, part(event, "operator")):
        words = await anyio.to_thread.run_sync(_pressed, request, app, event)
        return {"toast": {"type": "info", "content": clean(words, LONGEST_TOAST)}}
    return {}


def _asked(request: Request, app: FeishuApp, header: Fields, event: Fields) -> None:
    sender, message = part(event, "sender"), part(event, "message")
    user = text(part(sender, "sender_id"), "open_id")
    # A bot would answer for ever.
    if text(sender, "sender_type") != "user" or _stranger(header, sender) or not user:
        return
    post, talk = text(message, "message_id"), text(message, "chat_id")
    words = apps.ask(request, app, "feishu", question(message), user, talk, post)
    apps.tell(request, app, post, lambda: words)


def _stranger(header: Fields, person: Fields) -> bool:
    """Who is of another tenant sits in a shared group, and may neither ask nor press."""
    return text(person, "tenant_key") != text(header, "tenant_key")


def _pressed(request: Request, app: FeishuApp, event: Fields) -> str:
    user, value = text(part(event, "operator"), "open_id"), text(part(part(event, "action"), "value"), "press")
    channel = f"{app.name}/{text(part(event, 'context'), 'open_chat_id')}"
    return apps.press(request, app, "feishu", value, user, [channel])


def question(message: Fields) -> str:
    """What a message asks, without who is mentioned in it; "" where it is no text."""
    if text(message, "message_type") != "text":
        return ""
    try:
        return " ".join(_MENTION.sub(" ", text(read(text(message, "content").encode()), "text")).split())
    except Distrusted:
        return ""


async def _challenge(desk: Desk, known: Sequence[FeishuApp], encrypted: bytes) -> str:
    """What proves that the address is ours, where that is asked. It has no signature: its token stands inside. Raises Distrusted."""
    for app in known:
        try:
            told = read(signatures.feishu_open(app.key, encrypted))
        except Distrusted:
            continue  # sealed for another, or for nobody: the signature will tell
        if text(told, "type") != "url_verification":
            continue
        signatures.feishu_token(app.token, text(told, "token").encode())
        challenge = text(told, "challenge")
        key = signatures.digest(b"challenge", app.own.encode(), challenge.encode())
        await answering.once(desk, Proof(key, app.clock() + signatures.REMEMBERED_S))
        return challenge
    return ""
