"""A WeChat official account: answers who wrote to it, by customer-service messages, for which WeChat gives 48 hours.

It can begin no talk, so no verdict is posted by it. https://developers.weixin.qq.com/doc/offiaccount/Message_Management
"""

from __future__ import annotations

from aiops.adapters.chat import calls, wecom
from aiops.adapters.chat.calls import Api, Codes
from aiops.adapters.http import Access, Session
from aiops.ports import Message

URL = "https://api.weixin.qq.com"
CODES = Codes("errcode", "errmsg", frozenset({40001, 40014, 41001, 42001}), frozenset({-1, 45009, 45011, 45047}))


class WeChatAccount:
    """One account; `app` is its AppID."""

    def __init__(self, access: Access, app: str, secret: str) -> None:
        self._access = access
        self._api = Api(access, CODES, lambda session: _token(session, access.url, app, secret))

    def answer(self, address: str, message: Message, timeout: float, *, key: str) -> None:  # noqa: ARG002 - it knows no repeats
        """To a person, by the OpenID that came with the question. Raises SourceError."""
        self._send({"touser": address, **wecom.text_of(message)}, timeout)
        if message.picture:
            media = calls.attempted(lambda: wecom.upload(self._api, message.picture, timeout))
            if media:
                self._send({"touser": address, "msgtype": "image", "image": {"media_id": media}}, timeout)

    def senders(self, timeout: float) -> tuple[str, ...]:
        """Whence WeChat calls. Raises SourceError."""
        return wecom.senders(self._api, timeout)

    def ping(self, timeout: float) -> str:
        count = len(self.senders(timeout))
        return f"WeChat at {self._access.url} knows the account; it calls from {count} networks"

    def _send(self, body: wecom.Body, timeout: float) -> None:
        url, raw = f"{self._access.url}/cgi-bin/message/custom/send", wecom.json_body(body)
        self._api.call("a message", timeout, lambda s, token: _posted(s, url, token, raw))


def _posted(session: Session, url: str, token: str, body: bytes) -> bytes:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return session.post(url, params={"access_token": token}, data=body, headers=kind).content


def _token(session: Session, url: str, app: str, secret: str) -> tuple[str, float]:
    """The stable token: several processes may hold it, where the other kind ends with the next that is asked for."""
    asked = {"grant_type": "client_credential", "appid": app, "secret": secret}
    body = session.ask("POST", f"{url}/cgi-bin/stable_token", body=asked)
    answer = calls.checked(session, url, calls.told(session, body), CODES)
    return str(answer.get("access_token", "")), calls.number(answer.get("expires_in"))
