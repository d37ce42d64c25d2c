"""DingTalk: `dingtalk:APP` posts as the custom robot of a group; an app's robot answers at the address that came with a question.

A button of theirs is a link, so nothing can be pressed: the page that the link leads to has the buttons. Posts stay as they are,
and there are no threads. https://open.dingtalk.com/document/robots/custom-robot-access
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping

from aiops.adapters.chat import calls
from aiops.adapters.chat.calls import Api, Codes
from aiops.adapters.chat.pace import Pace
from aiops.adapters.chat.text import fitted, harmless, target
from aiops.adapters.http import Access, Session
from aiops.adapters.replies import same_place
from aiops.errors import SourceRefused
from aiops.plain import clean
from aiops.ports import Message

URL = "https://oapi.dingtalk.com"
BODY = 20_000  # bytes of a message, as JSON
TITLE = 60  # characters, which stand in lists of talks
A_MINUTE = 20  # messages of a robot; more close it for ten minutes
CODES = Codes("errcode", "errmsg", frozenset({40001, 40014, 42001}), frozenset({-1, 88, 90018, 130101, 130102}))

Body = Mapping[str, object]


class DingTalkApp:
    """An app of an organisation, with its robot."""

    def __init__(self, access: Access, app: str, secret: str) -> None:
        self._access = access
        self._api = Api(access, CODES, lambda session: _token(session, access.url, app, secret))

    def answer(self, address: str, message: Message, timeout: float, *, key: str) -> None:  # noqa: ARG002 - it knows no repeats
        """To the `sessionWebhook` of a question. SourceRefused for one that is not DingTalk's own."""
        if not same_place(address, self._access.url):
            raise SourceRefused("an answer", self._access.url, "the question named an address elsewhere")
        body = message_of(message, self.picture(message, timeout))
        with self._access.session("an answer", timeout) as session:
            answer = calls.told(session, session.ask("POST", address, body=body))
            calls.checked(session, self._access.url, answer, CODES)

    def picture(self, message: Message, timeout: float) -> str:
        """What names the picture of a message in one, "" where there is none or it can't be sent."""
        return calls.attempted(lambda: self._upload(message.picture, timeout)) if message.picture else ""

    def senders(self, timeout: float) -> tuple[str, ...]:  # noqa: ARG002 - DingTalk tells no list
        return ()

    def ping(self, timeout: float) -> str:
        self._api.open("its token", timeout)
        return f"DingTalk at {self._access.url} knows the app"

    def _upload(self, png: bytes, timeout: float) -> str:
        url = f"{self._access.url}/media/upload"

        def ask(session: Session, token: str) -> bytes:
            files = {"media": ("chart.png", png, "image/png")}
            return session.post(url, params={"access_token": token, "type": "image"}, files=files).content

        return str(self._api.call("an upload", timeout, ask).get("media_id", ""))


class DingTalkRobot:
    """The custom robot of a group: `token` is what its address ends in, `secret` what it signs with. `app`, where there is one,
    sends its pictures."""

    def __init__(
        self,
        access: Access,
        name: str,
        token: str,
        secret: str,
        app: DingTalkApp | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.pictures = name, app is not None
        self._access, self._token, self._secret, self._app, self._clock = access, token, secret, app, clock
        self._pace = Pace(A_MINUTE)

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:  # noqa: ARG002 - there are none
        self._pace.take("a message", self.name)
        picture = self._app.picture(message, timeout) if self._app else ""
        url = f"{self._access.url}/robot/send"
        with self._access.session("a message", timeout) as session:
            told = session.ask("POST", url, params=self._signed(), body=message_of(message, picture))
            calls.checked(session, self._access.url, calls.told(session, told), CODES)
        return key

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - DingTalk can't tell
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """What a robot has said stays."""

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - whatever it is told, the group reads
        return f"the robot of a group at {self._access.url}; whether its token counts, only a message can tell"

    def _signed(self) -> dict[str, str]:
        known = {"access_token": self._token}
        if not self._secret:
            return known
        moment = str(int(self._clock() * 1000))
        return known | {"timestamp": moment, "sign": sign(self._secret, moment)}


def sign(secret: str, moment: str) -> str:
    """HMAC-SHA256 over the time in milliseconds and the secret, in base64."""
    text = f"{moment}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def message_of(message: Message, picture: str = "") -> Body:
    """Markdown, with the link as the button of a card where there is one. At most 20,000 bytes: the latest lines give way."""
    first, *rest = [harmless(line) for line in message.lines] or ["-"]
    title = clean(message.lines[0] if message.lines else "", TITLE) or "-"
    last = f"![{harmless(message.link_name) or '-'}]({target(picture)})" if picture else ""
    most = BODY
    while True:  # what JSON adds for quotes and the like is only known when it is written
        body = _body(title, fitted([f"**{first}**", *rest], most, "\n\n", last), message)
        size = len(json.dumps(body).encode())
        if size <= BODY or most < 1000:
            return body
        most -= max(size - BODY, 500) // 3


def _body(title: str, text: str, message: Message) -> Body:
    if not message.link:
        return {"msgtype": "markdown", "markdown": {"title": title, "text": text}}
    card = {
        "title": title,
        "text": text,
        "singleTitle": clean(message.link_name, TITLE) or "-",
        "singleURL": message.link,
    }
    return {"msgtype": "actionCard", "actionCard": card}


def _token(session: Session, url: str, app: str, secret: str) -> tuple[str, float]:
    body = session.ask("GET", f"{url}/gettoken", params={"appkey": app, "appsecret": secret})
    answer = calls.checked(session, url, calls.told(session, body), CODES)
    return str(answer.get("access_token", "")), calls.number(answer.get("expires_in"))
