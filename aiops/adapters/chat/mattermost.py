"""Mattermost: posts, edits, threads, files and buttons by its API (version 4) with a bot's token, and answers to its commands.

What comes from outside is escaped, so that it is no format, link or mention.
https://developers.mattermost.com/api-documentation, https://developers.mattermost.com/integrate/plugins/interactive-messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiops.adapters.chat.calls import attempted
from aiops.adapters.chat.text import target
from aiops.adapters.http import Access, Session
from aiops.adapters.replies import same_place
from aiops.errors import SourceRefused
from aiops.plain import clean, markdown
from aiops.ports import Button, Chat, Message

LONGEST = 16_383  # characters of a post
LINE = 2_900
LABEL = 60
STYLES = {"good": "good", "bad": "danger"}
PROP = "aiops_key"  # of a post of ours, by which it is known again
_ID = re.compile(r"[a-z0-9]{26}")


def shown(message: Message) -> str:
    """A message as Markdown; where it is too long the last lines give way, never the link."""
    link = f"[{markdown(message.link_name, 200) or 'link'}]({target(message.link)})" if message.link else ""
    told, room = [], LONGEST - len(link) - 2
    for line in message.lines:
        escaped = markdown(line, LINE)
        room -= len(escaped) + 2
        if room < 0:
            break
        told.append(escaped)
    return "\n\n".join([*told, *([link] if link else [])]) or "-"


class MattermostReplies:
    """`place` is the server, where answers to its commands may go; `api` its API with a bot's token, where there is one.

    actions: the address of ours that it sends what was pressed to, "" = posts have no buttons."""

    def __init__(self, place: Access, api: Access | None = None, actions: str = "") -> None:
        self._place, self._api, self._actions = place, api, actions

    def shown(self, message: Message, public: bool) -> Mapping[str, Any]:
        return {"response_type": "in_channel" if public else "ephemeral", "text": shown(message)}

    def post(self, address: str, message: Message, public: bool, timeout: float) -> None:
        """An answer that broke off is sent again, so that one may be there twice, but none is lost."""
        if not same_place(address, self._place.url):
            raise SourceRefused("answering a command", self._place.url, "the command named an address elsewhere")
        with self._place.session("answering a command", timeout) as session:
            session.ask("POST", address, body=dict(self.shown(message, public)))

    def channel(self, channel: str) -> Chat | None:
        return MattermostChat(self._api, channel, self._actions) if self._api else None


class MattermostChat:
    """One channel, by its id. The bot must be a member."""

    pictures = True

    def __init__(self, api: Access, channel: str, actions: str = "") -> None:
        self._api, self._channel, self._actions = api, channel, actions
        self.name = f"mattermost:{channel}"

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:
        with self._api.session("posting a message", timeout, tries=1) as session:
            file = attempted(lambda: self._upload(session, message)) if message.picture else ""
            said = {"channel_id": self._channel, "message": shown(message), "props": self._props(message, key)}
            said |= ({"root_id": thread} if thread else {}) | ({"file_ids": [file]} if file else {})
            return self._id(session, session.ask("POST", f"{self._api.url}/api/v4/posts", body=said))

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:
        where = f"posts/{thread}/thread" if thread else f"channels/{self._channel}/posts"
        with self._api.session("looking for a post", timeout) as session:
            answer: dict[str, Any] = session.decode(session.ask("GET", f"{self._api.url}/api/v4/{where}"), dict)
        posts = answer.get("posts") or {}
        found = [str(name) for name, post in posts.items() if (post.get("props") or {}).get(PROP) == key]
        return min(found, default="")

    def edit(self, post: str, message: Message, timeout: float) -> None:
        said = {"message": shown(message), "props": self._props(message, "")}
        with self._api.session("changing a message", timeout) as session:
            session.ask("PUT", f"{self._api.url}/api/v4/posts/{post}/patch", body=said)

    def ping(self, timeout: float) -> str:
        with self._api.session("asking who we are", timeout) as session:
            me: dict[str, Any] = session.decode(session.ask("GET", f"{self._api.url}/api/v4/users/me"), dict)
        return f"Mattermost, as {clean(str(me.get('username', '')), 80)}"

    # ------------------------------------------------------------ how

    def _props(self, message: Message, key: str) -> dict[str, Any]:
        named = {PROP: key} if key else {}
        if not (message.buttons and self._actions):
            return named
        return {**named, "attachments": [{"actions": [self._action(one) for one in message.buttons]}]}

    def _action(self, button: Button) -> dict[str, Any]:
        """The server keeps `integration` for itself: nobody who reads the channel sees the value."""
        integration = {"url": self._actions, "context": {"value": button.value}}
        style = {"style": STYLES[button.style]} if button.style in STYLES else {}
        label = clean(button.label, LABEL)
        return {"id": button.name, "name": label, "type": "button", "integration": integration, **style}

    def _upload(self, session: Session, message: Message) -> str:
        url = f"{self._api.url}/api/v4/files?channel_id={self._channel}&filename=diagnosis.png"
        body, _ = session.bulk(url, message.picture, {"Content-Type": "image/png"})
        answer: dict[str, Any] = session.decode(body.tobytes(), dict)
        infos = answer.get("file_infos") or [{}]
        return self._checked(session, infos[0].get("id"))

    def _id(self, session: Session, body: bytes) -> str:
        return self._checked(session, session.decode(body, dict).get("id"))

    def _checked(self, session: Session, name: object) -> str:
        """It becomes part of an address."""
        if not (isinstance(name, str) and _ID.fullmatch(name)):
            raise session.garbled("an answer without an id")
        return name
