"""Slack: posts, edits, threads, files and buttons by its Web API with a bot's token, and answers to its commands and buttons.

Text from outside stands in `plain_text` alone, in which nothing is a mention, a link or a format.
https://docs.slack.dev/reference/methods, https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from aiops.adapters.chat.calls import attempted
from aiops.adapters.chat.text import target
from aiops.adapters.http import Access, Session
from aiops.adapters.replies import same_place
from aiops.errors import SourceRefused, SourceUnreachable
from aiops.plain import clean
from aiops.ports import Chat, Message

log = logging.getLogger(__name__)

LONGEST = 3000  # characters of a text in a block
FALLBACK = 4000  # of the text that notifications show
LABEL = 75  # of a button's label
BLOCKS = 50
LOOKED_AT = 100  # latest posts among which one is looked for
STYLES = {"good": "primary", "bad": "danger"}
EVENT = "aiops_post"  # the kind of metadata by which a post of ours is known again
TROUBLE = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited", "rate_limited"}
)

_MARKS = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


def shown(message: Message) -> dict[str, Any]:
    """A message as `text`, for notifications, and `blocks`."""
    texts = [_plain(line, LONGEST) for line in message.lines]
    if message.link:
        name = clean(message.link_name).translate(_MARKS).replace("|", "¦") or "link"
        texts.append({"type": "mrkdwn", "text": f"<{target(message.link).replace('|', '%7C')}|{name}>"})
    blocks: list[dict[str, Any]] = [{"type": "section", "text": text} for text in texts[: BLOCKS - 1]]
    if message.buttons:
        blocks.append({"type": "actions", "elements": [_button(one) for one in message.buttons]})
    headline = message.lines[0] if message.lines else message.link_name
    return {"text": clean(headline, FALLBACK // 5).translate(_MARKS), "blocks": blocks}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": clean(text, limit) or "-", "emoji": False}


def _button(button: Any) -> dict[str, Any]:
    style = {"style": STYLES[button.style]} if button.style in STYLES else {}
    label = _plain(button.label, LABEL)
    return {"type": "button", "action_id": button.name, "text": label, "value": button.value, **style}


class SlackReplies:
    """`place` is where answers to commands and buttons may go; `api` the Web API with a bot's token, where there is one."""

    def __init__(self, place: Access, api: Access | None = None) -> None:
        self._place, self._api = place, api

    def shown(self, message: Message, public: bool) -> Mapping[str, Any]:
        return {"response_type": "in_channel" if public else "ephemeral", "replace_original": False, **shown(message)}

    def post(self, address: str, message: Message, public: bool, timeout: float) -> None:
        """An answer that broke off is sent again, so that one may be there twice, but none is lost."""
        if not same_place(address, self._place.url):
            raise SourceRefused("answering a command", self._place.url, "the command named an address elsewhere")
        with self._place.session("answering a command", timeout) as session:
            session.ask("POST", address, body=dict(self.shown(message, public)))

    def channel(self, channel: str) -> Chat | None:
        return SlackChat(self._api, channel) if self._api else None


class SlackChat:
    """One channel, by its id. The bot must be a member. A post's id is its `ts`. pressable: what is pressed there reaches us."""

    pictures = True

    def __init__(self, api: Access, channel: str, *, pressable: bool = True) -> None:
        self._api, self._channel, self._pressable = api, channel, pressable
        self.name = f"slack:{channel}"

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:
        """The picture follows as a reply in the post's thread: a file can only be shared as a message of its own."""
        metadata = {"event_type": EVENT, "event_payload": {"key": key}}
        said = {"channel": self._channel, **self._shown(message), "metadata": metadata, "unfurl_links": False}
        said |= {"unfurl_media": False, **({"thread_ts": thread} if thread else {})}
        with self._api.session("posting a message", timeout, tries=1) as session:
            made = str(self._call(session, "chat.postMessage", said).get("ts", ""))
            if not made:
                raise session.garbled("a post without a ts")
            if message.picture:
                attempted(lambda: self._upload(session, message, thread or made))
        return made

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:
        """Needs the scope that reads the channel's history; without it nobody can tell."""
        method = "conversations.replies" if thread else "conversations.history"
        asked = {"channel": self._channel, "limit": str(LOOKED_AT), "include_all_metadata": "true"}
        with self._api.session("looking for a post", timeout) as session:
            try:
                found = self._call(session, method, asked | ({"ts": thread} if thread else {}), form=True)
            except SourceRefused as error:
                log.warning("whether a post is there can't be told: %s", error)
                return ""
        for one in found.get("messages") or ():
            metadata = one.get("metadata") or {}
            if metadata.get("event_type") == EVENT and (metadata.get("event_payload") or {}).get("key") == key:
                return str(one.get("ts", ""))
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        said = {"channel": self._channel, "ts": post, **self._shown(message)}
        with self._api.session("changing a message", timeout) as session:
            self._call(session, "chat.update", said)

    def ping(self, timeout: float) -> str:
        """Who the bot is; whether it is a member of the channel shows when it posts."""
        with self._api.session("asking who we are", timeout) as session:
            known = self._call(session, "auth.test", {}, form=True)
        return f"Slack, {clean(str(known.get('team', '')), 80)}, as {clean(str(known.get('user', '')), 80)}"

    # ------------------------------------------------------------ how

    def _shown(self, message: Message) -> dict[str, Any]:
        return shown(message if self._pressable else replace(message, buttons=()))

    def _upload(self, session: Session, message: Message, thread: str) -> str:
        named = {
            "filename": "diagnosis.png",
            "length": str(len(message.picture)),
            "alt_txt": clean(message.lines[0], 900),
        }
        begun = self._call(session, "files.getUploadURLExternal", named, form=True)
        address, file = str(begun.get("upload_url", "")), str(begun.get("file_id", ""))
        if not self._theirs(address):
            raise session.garbled("an address for uploads that is not the platform's")
        # It is opened by what stands in its path: our token is none of its business.
        elsewhere = replace(self._api, url=address, token="")
        with elsewhere.session("uploading a picture", session.remaining(), tries=1) as upload:
            upload.bulk(address, message.picture, {"Content-Type": "image/png"})
        shared = {"files": json.dumps([{"id": file, "title": clean(message.lines[0], 200)}])}
        where = {"channel_id": self._channel, "thread_ts": thread}
        self._call(session, "files.completeUploadExternal", shared | where, form=True)
        return file

    def _theirs(self, address: str) -> bool:
        """Files lie beside the API, under the same name: slack.com and files.slack.com."""
        try:
            there, here = urlsplit(address), urlsplit(self._api.url)
            port, host = there.port, there.hostname or ""
        except ValueError:
            return False
        beside = host == here.hostname or host.endswith(f".{here.hostname}")
        named = "@" in there.netloc or "\\" in address or not address.isascii() or not address.isprintable()
        return there.scheme == here.scheme and port == here.port and beside and not named

    def _call(self, session: Session, method: str, said: Mapping[str, Any], *, form: bool = False) -> dict[str, Any]:
        url = f"{self._api.url}/{method}"
        body = session.ask("POST", url, said if form else None, body=None if form else dict(said))
        answer: dict[str, Any] = session.decode(body, dict)
        if answer.get("ok") is not True:
            error = clean(str(answer.get("error", "no reason")), 100)
            needed = f" (needs {clean(str(answer['needed']), 100)})" if answer.get("needed") else ""
            kind = SourceUnreachable if error in TROUBLE else SourceRefused
            raise kind(session.what, self._api.url, session.shown(f"{method}: {error}{needed}"))
        return answer
