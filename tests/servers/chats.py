"""The APIs of WeCom, WeChat, Feishu and DingTalk, as far as their documentation tells what they take.

A real HTTP server on loopback: it gives tokens that end, looks at each request as the platform does (sizes, fields, who may), and
keeps what was sent. What it does not know it refuses, so that a wrong request does not pass.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

from servers.listening import listening

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    names = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": names, "additionalProperties": False}


_NAME = {"type": "string", "minLength": 1}
_LINK = {"type": "string", "pattern": "^https?://"}
_CARD_TITLES = {
    "main_title": _object({"title": {**_NAME, "maxLength": 36}}),
    "sub_title_text": {"type": "string", "maxLength": 160},
}
_ACTION = _object({"type": {"const": 1}, "url": _LINK})
_WECOM_BUTTON = _object(
    {"text": {**_NAME, "maxLength": 20}, "style": {"enum": [1, 2, 3, 4]}, "key": {**_NAME, "maxLength": 1024}}
)
_BUTTONS = {
    "card_type": {"const": "button_interaction"},
    **_CARD_TITLES,
    "button_list": {"type": "array", "minItems": 1, "maxItems": 6, "items": _WECOM_BUTTON},
}
_TASK = {"task_id": {"type": "string", "pattern": "^[0-9A-Za-z_@-]{1,128}$"}}
_BUTTON_CARD, _BUTTONS_ANEW = (
    _object({**_BUTTONS, **_TASK}, card_action=_ACTION),
    _object(_BUTTONS, card_action=_ACTION),
)
_NOTICE_CARD = _object({"card_type": {"const": "text_notice"}, **_CARD_TITLES, "card_action": _ACTION})
_WECOM_TO = {"touser": _NAME, "agentid": {"type": "integer"}}
_TEXT = {"msgtype": {"const": "text"}, "text": _object({"content": _NAME})}
_IMAGE = {"msgtype": {"const": "image"}, "image": _object({"media_id": _NAME})}
_UPDATE = {"agentid": {"type": "integer"}, "response_code": _NAME}
_WHOM = {"userids": {"type": "array", "items": _NAME}, "atall": {"const": 1}}

_PLAIN = _object({"tag": {"const": "plain_text"}, "content": {"type": "string", "minLength": 1}})
_FEISHU_BUTTON = _object(
    {"tag": {"const": "button"}, "text": _PLAIN, "type": {"enum": ["default", "primary", "danger"]}},
    url=_LINK,
    value={"type": "object"},
)
_ELEMENT = {
    "oneOf": [
        _object({"tag": {"const": "div"}, "text": _PLAIN}),
        _object({"tag": {"const": "img"}, "img_key": _NAME, "alt": _PLAIN}),
        _object({"tag": {"const": "action"}, "actions": {"type": "array", "minItems": 1, "items": _FEISHU_BUTTON}}),
    ]
}
FEISHU_CARD = _object(
    {
        "config": _object({"wide_screen_mode": {"const": True}, "update_multi": {"const": True}}),
        "header": _object({"title": _PLAIN, "template": _NAME}),
        "elements": {"type": "array", "minItems": 1, "items": _ELEMENT},
    }
)
_SAID = {"msg_type": {"const": "interactive"}, "content": _NAME, "uuid": {**_NAME, "maxLength": 50}}

_MARKDOWN = _object({"title": _NAME, "text": _NAME})
_CARD = _object({"title": _NAME, "text": _NAME, "singleTitle": _NAME, "singleURL": _LINK})
DINGTALK = {
    "oneOf": [
        _object({"msgtype": {"const": "markdown"}, "markdown": _MARKDOWN}),
        _object({"msgtype": {"const": "actionCard"}, "actionCard": _CARD}),
    ]
}
SHAPES: dict[str, Any] = {
    "/cgi-bin/message/send": {
        "oneOf": [
            _object({**_WECOM_TO, **_TEXT}),
            _object({**_WECOM_TO, **_IMAGE}),
            _object({**_WECOM_TO, "msgtype": {"const": "template_card"}, "template_card": _BUTTON_CARD}),
        ]
    },
    "/cgi-bin/message/update_template_card": {
        "oneOf": [
            _object({**_UPDATE, "template_card": _BUTTONS_ANEW}, **_WHOM),
            _object({**_UPDATE, "template_card": _NOTICE_CARD}, **_WHOM),
            _object({**_UPDATE, "button": _object({"replace_name": _NAME})}, **_WHOM),
        ]
    },
    "/cgi-bin/webhook/send": {
        "oneOf": [
            _object({"msgtype": {"const": "markdown"}, "markdown": _object({"content": _NAME})}),
            _object(
                {
                    "msgtype": {"const": "image"},
                    "image": _object({"base64": _NAME, "md5": {"pattern": "^[0-9a-f]{32}$"}}),
                }
            ),
        ]
    },
    "/cgi-bin/message/custom/send": {"oneOf": [_object({"touser": _NAME, **kind}) for kind in (_TEXT, _IMAGE)]},
    "/open-apis/im/v1/messages": _object({"receive_id": {"pattern": "^oc_"}, **_SAID}),
    "reply": _object({"reply_in_thread": {"const": True}, **_SAID}),
    "patch": _object({"content": _NAME}),
    "/robot/send": DINGTALK,
    "/robot/sendBySession": DINGTALK,
}


@dataclass(frozen=True)
class Sent:
    """What was sent: by which app (its secret's name), by which call, with which parameters and body."""

    app: str
    path: str
    params: dict[str, str]
    body: Any


@dataclass
class Chats:
    """The server: what came, and what it is to do.

    Apps are known by the secret SECRET-OF-NAME and given the token TOKEN-OF-NAME-NUMBER; `stale` ends all that were given."""

    url: str = ""
    came: queue.Queue[Sent] = field(default_factory=queue.Queue)
    calls: Counter[str] = field(default_factory=Counter)
    addresses: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    fail: list[tuple[str, Any]] = field(default_factory=list)  # the next calls of this path answer this
    given: dict[str, str] = field(default_factory=dict)  # token -> app
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, timeout: float = 300) -> Sent:
        return self.came.get(timeout=timeout)

    def stale(self) -> None:
        with self.lock:
            self.given.clear()

    # ------------------------------------------------ what the platforms do

    def answer(self, method: str, path: str, params: dict[str, str], headers: Message, data: bytes) -> tuple[int, Any]:
        with self.lock:
            self.calls[path] += 1
            for number, (failing, told) in enumerate(self.fail):
                if failing == path:
                    del self.fail[number]
                    return told
        if "token" in path:
            return 200, self._token_for(path, params, data)
        if path.startswith("/open-apis/"):
            return self._feishu(method, path, headers, data)
        if path in ("/robot/send", "/robot/sendBySession"):
            return 200, self._dingtalk(path, params, data)
        if path == "/cgi-bin/webhook/send":
            return 200, self._robot(path, params, json.loads(data))
        return 200, self._tencent(path, params, headers, data)

    def _tencent(self, path: str, params: dict[str, str], headers: Message, data: bytes) -> dict[str, Any]:
        app = self.given.get(params.get("access_token", ""))
        if app is None:
            return {"errcode": 42001, "errmsg": "access_token expired"}
        if path in ("/cgi-bin/media/upload", "/media/upload"):
            assert params["type"] == "image"
            assert _file(headers, data, "media").startswith(PNG[:8])
            return {"errcode": 0, "errmsg": "ok", "type": "image", "media_id": f"media-of-{app}"}
        if path == "/cgi-bin/getcallbackip":
            return {"ip_list": self.addresses}
        return self._message(app, path, params, json.loads(data))

    def _token_for(self, path: str, params: dict[str, str], data: bytes) -> dict[str, Any]:
        if path in ("/cgi-bin/gettoken", "/gettoken"):
            return self._token(params.get("corpsecret") or params.get("appsecret", ""), "access_token", "expires_in")
        body = json.loads(data)
        if path == "/cgi-bin/stable_token":
            assert body["grant_type"] == "client_credential"
            return self._token(body["secret"], "access_token", "expires_in")
        assert path == "/open-apis/auth/v3/tenant_access_token/internal"
        return self._token(body["app_secret"], "tenant_access_token", "expire")

    def _token(self, secret: str, name: str, lives: str) -> dict[str, Any]:
        found = re.fullmatch("SECRET-OF-([a-z]+)", secret)
        if not found:
            return {"errcode": 40001, "code": 10014, "errmsg": "invalid secret", "msg": "app secret invalid"}
        with self.lock:
            token = f"TOKEN-OF-{found[1]}-{self.calls.total()}"
            self.given[token] = found[1]
        return {"errcode": 0, "code": 0, "errmsg": "ok", "msg": "ok", name: token, lives: 7200}

    def _message(self, app: str, path: str, params: dict[str, str], body: Any) -> dict[str, Any]:
        jsonschema.validate(body, SHAPES[path])
        if "text" in body:
            assert len(body["text"]["content"].encode()) <= 2048
        self.came.put(Sent(app, path, params, body))
        code = {"response_code": f"code-{self.came.qsize()}"} if "template_card" in body else {}
        return {"errcode": 0, "errmsg": "ok", "msgid": "m1", **code}

    def _robot(self, path: str, params: dict[str, str], body: Any) -> dict[str, Any]:
        jsonschema.validate(body, SHAPES[path])
        if "markdown" in body:
            assert len(body["markdown"]["content"].encode()) <= 4096
        else:
            png = base64.b64decode(body["image"]["base64"], validate=True)
            assert hashlib.md5(png).hexdigest() == body["image"]["md5"]
        self.came.put(Sent("", path, params, body))
        return {"errcode": 0, "errmsg": "ok"}

    def _dingtalk(self, path: str, params: dict[str, str], data: bytes) -> dict[str, Any]:
        assert len(data) <= 20_000
        body = json.loads(data)
        jsonschema.validate(body, SHAPES[path])
        if "sign" in params:
            text = f"{params['timestamp']}\nSEC-OF-robot".encode()
            due = base64.b64encode(hmac.new(b"SEC-OF-robot", text, hashlib.sha256).digest()).decode()
            if due != params["sign"]:
                return {"errcode": 310000, "errmsg": "sign not match"}
        self.came.put(Sent("", path, params, body))
        return {"errcode": 0, "errmsg": "ok"}

    def _feishu(self, method: str, path: str, headers: Message, data: bytes) -> tuple[int, Any]:
        app = self.given.get(str(headers["Authorization"]).removeprefix("Bearer "))
        if app is None:
            return 400, {"code": 99991663, "msg": "Invalid access token for authorization."}
        if path == "/open-apis/bot/v3/info":
            return 200, {"code": 0, "msg": "ok", "bot": {"app_name": app}}
        if path == "/open-apis/im/v1/images":
            assert _file(headers, data, "image").startswith(PNG[:8])
            return 200, {"code": 0, "msg": "ok", "data": {"image_key": "img_v3_1"}}
        body = json.loads(data)
        kind = "patch" if method == "PATCH" else "reply" if path.endswith("/reply") else path
        jsonschema.validate(body, SHAPES[kind])
        card = json.loads(body["content"])
        jsonschema.validate(card, FEISHU_CARD)
        assert len(json.dumps(card).encode()) <= 30_000
        self.came.put(Sent(app, f"{method} {path}", {}, {**body, "content": card}))
        return 200, {"code": 0, "msg": "ok", "data": {"message_id": f"om_{self.came.qsize()}"}}


def _file(headers: Message, data: bytes, name: str) -> bytes:
    """A file of a multipart form."""
    whole = BytesParser().parsebytes(b"Content-Type: " + str(headers["Content-Type"]).encode() + b"\r\n\r\n" + data)
    for part in whole.walk():
        if part.get_param("name", header="content-disposition") == name:
            assert part.get_filename()
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content
    raise AssertionError(f"no file {name}")


@contextmanager
def chats() -> Iterator[Chats]:
    """All four, at one address. A request that no platform would take is answered with HTTP 500, and told in the test's output."""
    held = Chats()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            try:
                status, told = held.answer(self.command, parts.path, params, self.headers, data)
            except (AssertionError, KeyError, ValueError, jsonschema.ValidationError) as error:
                status, told = 500, {"errcode": 1, "code": 1, "errmsg": repr(error)[:2000]}
                print(self.path, repr(error)[:2000])
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PATCH = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        held.url = url
        yield held
