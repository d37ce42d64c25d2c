"""Feishu and Lark: `feishu:APP/CHAT` posts cards into a group, each episode in a thread of its own.

What is shown are cards of plain text, in which nothing can be a format, a link or a mention. A card can be changed for 14 days.
https://open.feishu.cn/document/server-docs/im-v1/message/create and .../reply, .../patch
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from aiops.adapters.chat import calls
from aiops.adapters.chat.calls import Answer, Api, Codes
from aiops.adapters.chat.text import cut
from aiops.adapters.http import Access, Session
from aiops.errors import SourceRefused
from aiops.plain import clean
from aiops.ports import Button, Message

URL = "https://open.feishu.cn"  # https://open.larksuite.com for Lark
CARD = 30_000  # bytes of a card
LINE = 4000  # bytes of a line on it
PICTURE = 10 * 2**20
MOST_BUTTONS = 10
CODES = Codes(
    "code",
    "msg",
    frozenset({99991661, 99991663, 99991664, 99991665, 99991668}),
    frozenset({99991400, 230020, 11232, 11233, 11247}),
)
_NO_WORDS = "-"  # a text may not be empty
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

Card = Mapping[str, object]


class FeishuApp:
    """An app of a tenant, with its bot. Answers in the thread of the message that asked."""

    def __init__(self, access: Access, app: str, secret: str) -> None:
        self._access = access
        self._api = Api(access, CODES, lambda session: _token(session, access.url, app, secret))

    def answer(self, address: str, message: Message, timeout: float, *, key: str) -> None:
        """In the thread of a message, by its id. Raises SourceError."""
        self.reply(address, message, timeout, key)

    def send(self, chat: str, message: Message, timeout: float, key: str) -> str:
        """Into a group; the id of the post. Raises SourceError."""
        return self._said(f"{self._messages}?receive_id_type=chat_id", {"receive_id": chat}, message, timeout, key)

    def reply(self, post: str, message: Message, timeout: float, key: str) -> str:
        """In the thread of a post; the id of the reply. Raises SourceError."""
        url = f"{self._messages}/{_message(post, self._access.url)}/reply"
        return self._said(url, {"reply_in_thread": True}, message, timeout, key)

    def change(self, post: str, message: Message, timeout: float) -> None:
        """The card of a post, which keeps its picture. Raises SourceError."""
        url = f"{self._messages}/{_message(post, self._access.url)}"
        picture = post.partition(" ")[2]
        self._call("PATCH", url, {"content": json.dumps(card_of(message, picture), ensure_ascii=False)}, timeout)

    def senders(self, timeout: float) -> tuple[str, ...]:  # noqa: ARG002 - Feishu tells no list to apps
        return ()

    def ping(self, timeout: float) -> str:
        answer = self._call("GET", f"{self._access.url}/open-apis/bot/v3/info", None, timeout)
        bot = answer.get("bot")
        name = bot.get("app_name", "") if isinstance(bot, dict) else ""
        return f"Feishu at {self._access.url} knows the bot {clean(str(name), 60)}"

    @property
    def _messages(self) -> str:
        return f"{self._access.url}/open-apis/im/v1/messages"

    def _said(self, url: str, where: Card, message: Message, timeout: float, key: str) -> str:
        picture = ""
        if message.picture and len(message.picture) <= PICTURE:
            picture = calls.attempted(lambda: self._upload(message.picture, timeout))
        body = {
            **where,
            "msg_type": "interactive",
            "content": json.dumps(card_of(message, picture), ensure_ascii=False),
            "uuid": hashlib.sha256(key.encode()).hexdigest()[:50],  # within an hour it posts what has one but once
        }
        data = self._call("POST", url, body, timeout).get("data")
        made = str(data.get("message_id", "")) if isinstance(data, dict) else ""
        return f"{made} {picture}".rstrip()

    def _upload(self, png: bytes, timeout: float) -> str:
        def ask(session: Session, token: str) -> bytes:
            files = {"image": ("chart.png", png, "image/png")}
            url, form = f"{self._access.url}/open-apis/im/v1/images", {"image_type": "message"}
            return session.post(url, data=form, files=files, headers=_bearer(token)).content

        data = self._api.call("an upload", timeout, ask).get("data")
        return str(data.get("image_key", "")) if isinstance(data, dict) else ""

    def _call(self, method: str, url: str, body: Card | None, timeout: float) -> Answer:
        def ask(session: Session, token: str) -> bytes:
            return session.request(method, url, json=body, headers=_bearer(token)).content

        return self._api.call("a message", timeout, ask)


class FeishuChat:
    """Posts of an app into one group."""

    pictures = True

    def __init__(self, app: FeishuApp, name: str, chat: str) -> None:
        self.name = name
        self._app, self._chat = app, chat

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:
        """Its id names its picture as well, since a change has to name it again. Raises SourceError."""
        if thread:
            return self._app.reply(thread, message, timeout, key)
        return self._app.send(self._chat, message, timeout, key)

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - Feishu knows it again
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        self._app.change(post, message, timeout)

    def ping(self, timeout: float) -> str:
        return self._app.ping(timeout)


def card_of(message: Message, picture: str) -> Card:
    """At most 30,000 bytes, however Feishu counts them: the latest lines give way."""
    first, *rest = [_plain(cut(clean(line), LINE)) for line in message.lines] or [_plain("")]
    shown: list[Card] = []
    if picture:
        shown.append({"tag": "img", "img_key": picture, "alt": _plain(_NO_WORDS)})
    actions = [_button(one) for one in message.buttons[:MOST_BUTTONS]]
    if message.link:
        actions.append(
            {"tag": "button", "text": _plain(clean(message.link_name)), "type": "default", "url": message.link}
        )
    if actions:
        shown.append({"tag": "action", "actions": actions})
    room = CARD - len(json.dumps(_card(first, shown)))
    lines: list[Card] = []
    for line in rest:
        lines.append({"tag": "div", "text": line})
        room -= len(json.dumps(lines[-1])) + 2  # with the comma and the blank before the next
        if room < 0:
            lines.pop()
            break
    return _card(first, lines + shown)


def _card(title: Card, shown: list[Card]) -> Card:
    return {
        "config": {"wide_screen_mode": True, "update_multi": True},
        "header": {"title": title, "template": "blue"},
        "elements": shown or [{"tag": "div", "text": title}],
    }


def _button(button: Button) -> Card:
    style = {"good": "primary", "bad": "danger"}.get(button.style, "default")
    return {"tag": "button", "text": _plain(clean(button.label)), "type": style, "value": {"press": button.value}}


def _plain(text: str) -> Card:
    return {"tag": "plain_text", "content": text or _NO_WORDS}


def _message(post: str, whom: str) -> str:
    """The id of the message behind a post, fit to stand in a path."""
    found = post.partition(" ")[0]
    if not _ID.fullmatch(found):
        raise SourceRefused("a message", whom, f"{clean(found, 60)!r} is no id of one")
    return found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _token(session: Session, url: str, app: str, secret: str) -> tuple[str, float]:
    asked = {"app_id": app, "app_secret": secret}
    body = session.ask("POST", f"{url}/open-apis/auth/v3/tenant_access_token/internal", body=asked)
    answer = calls.checked(session, url, calls.told(session, body), CODES)
    return str(answer.get("tenant_access_token", "")), calls.number(answer.get("expire"))
