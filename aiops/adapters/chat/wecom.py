"""WeCom: `wecom:APP/USERS` sends as an application of a corporation to its members, `wecom:APP` as the robot of a group.

An application's post is a text, a picture, and where something may be pressed a card with buttons, which can be changed once. A
robot's is Markdown and a picture. Neither has threads. Sizes and paces: https://developer.work.weixin.qq.com/document/path/90236
and .../91770.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from aiops.adapters.chat import calls
from aiops.adapters.chat.calls import Answer, Api, Codes
from aiops.adapters.chat.pace import Pace
from aiops.adapters.chat.text import fitted, harmless, target
from aiops.adapters.http import Access, Session
from aiops.errors import SourceRefused
from aiops.plain import clean
from aiops.ports import Message

URL = "https://qyapi.weixin.qq.com"
TEXT, MARKDOWN = 2048, 4096  # bytes of a text, and of a robot's Markdown
ALL = "@all"
PICTURE = 2 * 2**20  # bytes of a robot's picture; an application's may have 10 MiB
TITLE, UNDER_TITLE, LABEL = 36, 160, 20  # characters on a card; of Chinese ones a label shows ten
MOST_BUTTONS = 6
A_MINUTE = 20  # messages of a robot; more are refused
A_MINUTE_EACH = 30  # messages of an application to one member; more are dropped without a word
REMEMBERED = 1000  # posts whose parts are known, so that another try sends the rest alone
CODES = Codes("errcode", "errmsg", frozenset({40001, 40014, 41001, 42001}), frozenset({-1, 45009, 45033, 50001, 50003}))

_CARD = re.compile(r"card (\d+) (.+)")  # the id of a post that has one

Body = Mapping[str, object]


class WeComApp:
    """An application of a corporation: `agent` is its number, `corp` the corporation's id. Answers who has written to it."""

    def __init__(self, access: Access, corp: str, secret: str, agent: int) -> None:
        self.agent = agent
        self._access = access
        self._api = Api(access, CODES, lambda session: _token(session, access.url, corp, secret))
        self._sent = _Sent()

    def answer(self, address: str, message: Message, timeout: float, *, key: str) -> None:
        """To a member, by the id that came with the question. SourceRefused for what would be several."""
        if "|" in address or address == ALL:
            raise SourceRefused("an answer", self._access.url, "the question does not come from one member")
        self.say(address, message, timeout, key)

    def say(
        self, users: str, message: Message, timeout: float, key: str, first: Callable[[], None] = lambda: None
    ) -> str:
        """To members, as `touser` has them; the id of the card among it, by which it can be changed, "" without one.

        `first` is called before each part. What of the post was sent under this key before is not sent again."""
        to: Body = {"touser": users, "agentid": self.agent}
        sent = self._sent.parts(key)
        parts: dict[str, Callable[[], str]] = {"text": lambda: self._send(to, text_of(message), timeout)}
        if message.picture:
            parts["picture"] = lambda: calls.attempted(lambda: self._send(to, self._image(message, timeout), timeout))
        if message.buttons:
            parts["card"] = lambda: self._send(to, card_of(message, key), timeout)
        for name, send in parts.items():
            if name not in sent:
                first()
                sent[name] = send()
        return sent.get("card", "")

    def change(self, code: str, users: str, message: Message, timeout: float) -> None:
        """Replaces the card that came with `code`, which counts once. Raises SourceError."""
        whom = {"atall": 1} if users == ALL else {"userids": users.split("|")}
        card = {"template_card": _buttons(message)} if message.buttons else closed_of(message)
        self._post("update_template_card", {**whom, "agentid": self.agent, "response_code": code, **card}, timeout)

    def senders(self, timeout: float) -> tuple[str, ...]:
        """Whence WeCom calls. Raises SourceError."""
        return senders(self._api, timeout)

    def ping(self, timeout: float) -> str:
        count = len(self.senders(timeout))
        return f"WeCom at {self._access.url} knows the application; it calls from {count} networks"

    def _send(self, to: Body, body: Body, timeout: float) -> str:
        return str(self._post("send", {**to, **body}, timeout).get("response_code", ""))

    def _post(self, action: str, body: Body, timeout: float) -> Answer:
        url = f"{self._access.url}/cgi-bin/message/{action}"
        return self._api.call(
            "a message", timeout, lambda s, token: s.ask("POST", url, params={"access_token": token}, body=dict(body))
        )

    def _image(self, message: Message, timeout: float) -> Body:
        return {"msgtype": "image", "image": {"media_id": upload(self._api, message.picture, timeout)}}


class WeComChat:
    """Posts of an application to some of its corporation's members (`users`: ids with | between them, or @all)."""

    pictures = True

    def __init__(self, app: WeComApp, name: str, users: str) -> None:
        self.name = name
        self._app, self._users = app, users
        self._pace = Pace(A_MINUTE_EACH)
        self._changed = _Sent()

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:  # noqa: ARG002 - there are none
        """Its id tells how many buttons its card has, and the code by which it can be changed. Raises SourceError."""
        code = self._app.say(self._users, message, timeout, key, lambda: self._pace.take("a message", self.name))
        return f"card {len(message.buttons)} {code}" if code else key

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - the application knows its parts
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """Changes the card when it has fewer buttons, and that once, since its code counts once; a post without one stays."""
        parts, card = self._changed.parts(post), _CARD.fullmatch(post)
        if card and len(message.buttons) < int(card[1]) and not parts:
            self._app.change(card[2], self._users, message, timeout)
            parts["changed"] = post

    def ping(self, timeout: float) -> str:
        return self._app.ping(timeout)


class WeComRobot:
    """Posts of the robot that a group has; `key` is what its address ends in, and all that it asks for."""

    pictures = True

    def __init__(self, access: Access, name: str, key: str) -> None:
        self.name = name
        self._access, self._key = access, key
        self._pace = Pace(A_MINUTE)
        self._sent = _Sent()

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:  # noqa: ARG002 - there are none
        sent = self._sent.parts(key)
        if "text" not in sent:
            sent["text"] = self._send({"msgtype": "markdown", "markdown": {"content": markdown_of(message)}}, timeout)
        if message.picture and len(message.picture) <= PICTURE and "picture" not in sent:
            body = {"msgtype": "image", "image": picture_of(message.picture)}
            sent["picture"] = calls.attempted(lambda: self._send(body, timeout))
        return key

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:  # noqa: ARG002 - its parts are known here
        return ""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """What a robot has said stays."""

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - whatever it is told, the group reads
        return f"the robot of a group at {self._access.url}; whether its key counts, only a message can tell"

    def _send(self, body: Body, timeout: float) -> str:
        self._pace.take("a message", self.name)
        url = f"{self._access.url}/cgi-bin/webhook/send"
        with self._access.session("a message", timeout) as session:
            answer = calls.told(session, session.ask("POST", url, params={"key": self._key}, body=dict(body)))
            calls.checked(session, self._access.url, answer, CODES)
        return "sent"


# ---------------------------------------------------------------- messages


def text_of(message: Message) -> Body:
    """Lines in which nothing is a link, and one that is."""
    lines = [plain_text(line) for line in message.lines]
    link = f'<a href="{target(message.link)}">{plain_text(message.link_name)}</a>' if message.link else ""
    return {"msgtype": "text", "text": {"content": fitted(lines, TEXT, last=link) or "-"}}


def markdown_of(message: Message) -> str:
    """Lines of a robot's Markdown, and a link."""
    first, *rest = [harmless(line) for line in message.lines] or ["-"]
    link = f"[{harmless(message.link_name)}]({target(message.link)})" if message.link else ""
    return fitted([f"**{first}**", *rest], MARKDOWN, last=link)


def plain_text(line: str) -> str:
    """In a text only `<a` is markup; an address would be a link by itself."""
    return clean(line).replace("<", "＜").replace("://", "：//")


def card_of(message: Message, task: str) -> Body:
    """A card with buttons. `task` names it; its name may be no longer than 128 bytes of letters and digits."""
    card = {**_buttons(message), "task_id": hashlib.sha256(task.encode()).hexdigest()}
    return {"msgtype": "template_card", "template_card": card}


def _buttons(message: Message) -> dict[str, object]:
    card: dict[str, object] = {
        "card_type": "button_interaction",
        **_titles(message),
        "button_list": [
            {
                "text": shorter(button.label, LABEL),
                "style": {"good": 1, "bad": 2}.get(button.style, 4),
                "key": button.value,
            }
            for button in message.buttons[:MOST_BUTTONS]
        ],
    }
    if message.link:
        card["card_action"] = {"type": 1, "url": message.link}
    return card


def closed_of(message: Message) -> Body:
    """What a card becomes on which nothing may be pressed any more."""
    if not message.link:
        return {"button": {"replace_name": shorter(message.lines[0] if message.lines else "-", LABEL)}}
    card = {"card_type": "text_notice", **_titles(message), "card_action": {"type": 1, "url": message.link}}
    return {"template_card": card}


def _titles(message: Message) -> dict[str, object]:
    first, *rest = message.lines or ("-",)
    return {
        "main_title": {"title": shorter(first, TITLE)},
        "sub_title_text": shorter(" ".join(rest), UNDER_TITLE),
    }


def shorter(text: str, most: int) -> str:
    """In at most so many characters; on a card nothing is markup."""
    return clean(text, most)


def picture_of(png: bytes) -> Body:
    """A picture as robots take it."""
    return {"base64": base64.b64encode(png).decode(), "md5": hashlib.md5(png).hexdigest()}  # noqa: S324 - theirs


# ---------------------------------------------------------------- what WeChat has, too


def upload(api: Api, png: bytes, timeout: float) -> str:
    """The id of a picture that may be sent for three days. Raises SourceError."""
    url = f"{api.access.url}/cgi-bin/media/upload"

    def ask(session: Session, token: str) -> bytes:
        files = {"media": ("chart.png", png, "image/png")}
        return session.post(url, params={"access_token": token, "type": "image"}, files=files).content

    return str(api.call("an upload", timeout, ask).get("media_id", ""))


def senders(api: Api, timeout: float) -> tuple[str, ...]:
    """The addresses and networks from which callbacks come. Raises SourceError."""
    url = f"{api.access.url}/cgi-bin/getcallbackip"
    answer = api.call("its addresses", timeout, lambda s, token: s.ask("GET", url, params={"access_token": token}))
    told = answer.get("ip_list")
    return tuple([str(one) for one in told]) if isinstance(told, list) else ()


def json_body(body: Body) -> bytes:
    """With the characters themselves: WeChat shows an escaped one as it is escaped."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _token(session: Session, url: str, corp: str, secret: str) -> tuple[str, float]:
    body = session.ask("GET", f"{url}/cgi-bin/gettoken", params={"corpid": corp, "corpsecret": secret})
    answer = calls.checked(session, url, calls.told(session, body), CODES)
    return str(answer.get("access_token", "")), calls.number(answer.get("expires_in"))


class _Sent:
    """Which parts of a post were sent, by its key, for the newest posts. Thread-safe for different keys."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()

    def parts(self, key: str) -> dict[str, str]:
        with self._lock:
            found = self._known.setdefault(key, {})
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found
