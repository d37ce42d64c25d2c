"""What WeCom and WeChat have in common: XML that is sealed for one receiver, signed, sent again up to three times when nobody
answers within 5 s, and answered in the same form.

https://developer.work.weixin.qq.com/document/path/90238 and https://developers.weixin.qq.com/doc/offiaccount/Message_Management
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from fastapi import Request
from fastapi.responses import PlainTextResponse, Response

from aiops.service.chat import answering, apps, forms, signatures, xml
from aiops.service.chat.apps import Elsewhere, Sealed
from aiops.service.chat.forms import Form
from aiops.service.chat.signatures import Distrusted
from aiops.service.desk import Desk

LONGEST_ECHO = 512

Fields = Mapping[str, str]


async def opened(request: Request, known: Sequence[Sealed]) -> tuple[Sealed, Fields]:
    """Whose message it is, and what it says. Raises Distrusted."""
    told = forms.read(request.scope["query_string"])
    encrypted = xml.read(await request.body()).get("Encrypt", "").encode()
    app, plain = await unsealed(request, known, told, encrypted)
    fields = xml.read(plain)
    if fields.get("ToUserName") != app.own or fields.get("AgentID", app.agent) != app.agent:
        raise Distrusted("the message is for somebody else")
    return app, fields


async def unsealed(request: Request, known: Sequence[Sealed], told: Form, encrypted: bytes) -> tuple[Sealed, bytes]:
    """Proves, takes once and decrypts. Raises Distrusted."""
    given, moment, nonce = (told.get(name, b"") for name in (b"msg_signature", b"timestamp", b"nonce"))
    app, proof = apps.whose(known, lambda one: one.crypt.check(given, moment, nonce, encrypted, one.clock()))
    from_there(request, app)
    plain = app.crypt.open(encrypted)
    await answering.once(_desk(request), proof)
    return app, plain


def from_there(request: Request, app: Sealed) -> None:
    """Raises Elsewhere, where that is asked, for what does not come from the platform's own addresses."""
    if app.senders and not (request.client and app.senders.holds(request.client.host)):
        raise Elsewhere("the request does not come from an address of the platform")


async def repeated(request: Request, app: Sealed, platform: str, fields: Fields) -> bool:
    """Whether this message came before. Events have no number: who, when and what tells them apart."""
    number = fields.get("MsgId", "")
    event = [fields.get(name, "") for name in ("FromUserName", "CreateTime", "Event", "EventKey", "TaskId")]
    return not await apps.first(_desk(request), app, platform, *([number] if number else event))


def echoed(text: bytes) -> Response:
    """What proves that the address is ours."""
    if len(text) > LONGEST_ECHO:
        raise Distrusted("the echo is too long")
    return PlainTextResponse(text)


def said(app: Sealed, fields: Fields, words: str) -> Response:
    """A text at once, sealed for who asked."""
    moment = int(app.clock())
    answer: dict[str, str | int] = {
        "ToUserName": fields.get("FromUserName", ""),
        "FromUserName": app.own,
        "CreateTime": moment,
        "MsgType": "text",
        "Content": words.replace("<", "＜"),  # `<a` would be a link
    }
    encrypted = app.crypt.seal(xml.write(answer).encode("utf-8", "replace"), secrets.token_bytes(signatures.RANDOM))
    nonce = secrets.token_hex(8)
    signed = app.crypt.sign(str(moment).encode(), nonce.encode(), encrypted)
    envelope: dict[str, str | int] = {
        "Encrypt": encrypted.decode(),
        "MsgSignature": signed.decode(),
        "TimeStamp": moment,
        "Nonce": nonce,
    }
    return Response(xml.write(envelope), media_type="application/xml")


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk
