"""Slash commands over HTTP: proved, taken once, acknowledged at once, answered where they came from, and harmless to read."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import jsonschema
import pytest

import aiops
from aiops import app, settings
from aiops.errors import SourceRefused
from aiops.ops import Ops
from aiops.service import server
from aiops.service.access import Access, Tokens, new_token
from aiops.service.chat.commands import Platform, Platforms, mattermost_message, slack_message

SECRET, TOKEN = b"8f742231b10e8888abcd99yyyzzz85a5", b"gr8token"
EVIL = "=cmd|' /C calc'!A0 <!channel> @all **x** [y](http://evil.example) \x1b[31m\u202e <script>"

# What the platforms take, as their documentation of messages has it.
_TEXT = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"enum": ["plain_text", "mrkdwn"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 3000},
        "emoji": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_BLOCK = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "section"}, "text": _TEXT},
    "additionalProperties": False,
}
SHAPES: dict[str, Any] = {
    "slack": {
        "type": "object",
        "required": ["response_type", "text", "blocks"],
        "properties": {
            "response_type": {"enum": ["in_channel", "ephemeral"]},
            "text": {"type": "string"},
            "blocks": {"type": "array", "maxItems": 50, "items": _BLOCK},
        },
        "additionalProperties": False,
    },
    "mattermost": {
        "type": "object",
        "required": ["response_type", "text"],
        "properties": {
            "response_type": {"enum": ["in_channel", "ephemeral"]},
            "text": {"type": "string", "minLength": 1, "maxLength": 16_383},
        },
        "additionalProperties": False,
    },
}


class ChatServer:
    """Stands where the platforms take answers; holds what came, in order."""

    def __init__(self) -> None:
        self.came: queue.Queue[tuple[str, Any]] = queue.Queue()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.came.put((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, platform: str, path: str) -> dict[str, Any]:
        where, message = self.came.get(timeout=60)
        assert where == path
        jsonschema.validate(message, SHAPES[platform])
        return dict(message)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class House:
    """A server that knows both platforms, and how they would ask it."""

    def __init__(self, client: httpx.Client, chat: ChatServer, ops: Ops) -> None:
        self.client, self.chat, self.ops = client, chat, ops

    def slack(self, text: str, **other: str) -> httpx.Response:
        return self.client.post("/v1/chat/slack", **self.signed(self.form(text, "slack", **other)))

    def form(self, text: str, path: str, **other: str) -> dict[str, str]:
        known = {"team_id": "T1", "user_id": "U1", "channel_id": "C1", "command": "/aiops", "text": text}
        return known | {"response_url": f"{self.chat.url}/{path}", "trigger_id": random.randbytes(8).hex()} | other

    def signed(self, form: dict[str, str], now: float | None = None) -> dict[str, Any]:
        body, moment = urlencode(form).encode(), str(int(now or time.time()))
        due = hmac.new(SECRET, f"v0:{moment}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={due}"}
        return {"content": body, "headers": headers | {"content-type": "application/x-www-form-urlencoded"}}

    def mattermost(self, text: str, **other: str) -> httpx.Response:
        form = {"token": TOKEN.decode()} | self.form(text, "mattermost", **other)
        return self.client.post("/v1/chat/mattermost", data=form)


@pytest.fixture(scope="module")
def house(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home, chat = tmp_path_factory.mktemp("chat"), ChatServer()
    (home / "tokens").write_text(new_token("admin", "root")[1])
    flags = {"model.url": "", "chat.slack_url": chat.url, "chat.mattermost_url": chat.url}
    config = settings.load(flags, str(home))
    platforms = Platforms(
        slack=Platform(SECRET, app.replies(config, "chat.slack_url")),
        mattermost=Platform(TOKEN, app.replies(config, "chat.mattermost_url")),
    )
    with aiops.connect(f"case:{demo_case}", home=str(home), flags={"model.url": ""}) as ops:
        ready, opened = threading.Event(), server.bind("127.0.0.1:0")
        running = server.server(
            ops,
            external_url="https://aiops.example",
            body_limit=2**20,
            ready=ready.set,
            access=Access(Tokens(home / "tokens")),
            platforms=platforms,
        )
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            assert ready.wait(120)
            with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as client:
                yield House(client, chat, ops)
        finally:
            running.should_exit = True
            thread.join(120)
            opened.close()
            chat.close()


@pytest.mark.parametrize("platform", ["slack", "mattermost"])
def test_a_command_is_acknowledged_and_the_verdict_follows(house: House, platform: str) -> None:
    taken = getattr(house, platform)("why is ts-gateway-service slow?")
    assert taken.status_code == 200, taken.text
    jsonschema.validate(taken.json(), SHAPES[platform])
    assert taken.json()["response_type"] == "ephemeral"
    answer = house.chat.answer(platform, f"/{platform}")
    assert answer["response_type"] == "in_channel"
    told = json.dumps(answer)
    assert "ts-" in told
    assert "https://aiops.example/reports/" in told
    entries = [dict(e["entry"]) for e in house.ops.store.audit_entries() if e["kind"] == "turn"]  # type: ignore[call-overload]
    assert (platform, "T1.U1", "submit") in {(e["channel"], e["actor"], e["action"]) for e in entries}


def test_a_question_in_chinese_is_acknowledged_in_chinese(house: House) -> None:
    taken = house.slack("ts-gateway-service 为什么慢?")
    assert taken.status_code == 200, taken.text
    assert any("\u4e00" <= char <= "\u9fff" for char in taken.json()["text"])
    house.chat.answer("slack", "/slack")


def test_what_is_unclear_or_refused_is_told_back(house: House) -> None:
    for text in ("why is it slow?", "delete the production database"):
        assert house.slack(text).status_code == 200
        assert house.chat.answer("slack", "/slack")["text"]
    assert house.slack("").json()["response_type"] == "ephemeral"


def test_a_command_comes_but_once(house: House) -> None:
    request = house.signed(house.form("", "slack"))
    assert house.client.post("/v1/chat/slack", **request).status_code == 200
    again = house.client.post("/v1/chat/slack", **request)
    assert again.status_code == 401
    assert "before" in again.json()["detail"]
    assert house.mattermost("", trigger_id="same").status_code == 200
    assert house.mattermost("", trigger_id="same").status_code == 401


def test_what_nobody_signed_is_refused_without_a_word_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    rng, good = random.Random(7), house.signed(house.form("why?", "slack"))
    for _ in range(500):
        body, headers = bytearray(good["content"]), dict(good["headers"])
        match rng.randrange(4):
            case 0:
                body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
            case 1:
                body = bytearray(rng.randbytes(rng.randrange(200)))
            case 2:
                headers["x-slack-signature"] = "v0=" + rng.randbytes(32).hex()
            case _:
                headers["x-slack-request-timestamp"] = rng.choice(["", "-1", "9" * 30, "1", "0x10", "1e9"])
        refused = house.client.post("/v1/chat/slack", content=bytes(body), headers=headers)
        assert refused.status_code == 401, (refused.status_code, refused.text)
    for token in ("", "gr8toke", "gr8tokén"):
        assert house.mattermost("why?", token=token).status_code == 401
    old = house.signed(house.form("why?", "slack"), now=time.time() - 301)
    assert house.client.post("/v1/chat/slack", **old).status_code == 401
    assert "Traceback" not in caplog.text
    assert house.chat.came.empty()


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest",
        "https://127.0.0.1:{port}/x",
        "http://127.0.0.1:1/x",
        "http://127.0.0.1:{port}@evil.example/x",
        "http://evil.example#127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@evil.example/",
        "file:///etc/passwd",
        "//127.0.0.1:{port}/x",
        "http://[::1/x",
        "",
    ],
)
def test_answers_go_to_the_platform_alone(house: House, address: str) -> None:
    port = house.chat.url.rpartition(":")[2]
    config = settings.load({"chat.slack_url": house.chat.url})
    with pytest.raises(SourceRefused, match="elsewhere"):
        app.replies(config, "chat.slack_url").post(address.replace("{port}", port), {"text": "x"}, 5)
    assert house.chat.came.empty()


def test_words_from_outside_do_nothing_in_a_message() -> None:
    message = slack_message([EVIL], "https://aiops.example/reports/1", "The whole report")
    first, last = message["blocks"]  # type: ignore[misc]
    assert first["text"]["type"] == "plain_text"  # type: ignore[index]
    assert last["text"]["text"] == "<https://aiops.example/reports/1|The whole report>"  # type: ignore[index]
    assert "<" not in str(message["text"])
    told = str(mattermost_message([EVIL], "", "")["text"])
    assert "@all" not in told
    assert "\\*\\*x" in told
    for text in (json.dumps(message, ensure_ascii=False), told):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_where_a_platform_is_not_set_up_nobody_is_heard(ops: Ops, serve: Any) -> None:
    client = serve(ops)
    for platform in ("slack", "mattermost"):
        assert client.post(f"/v1/chat/{platform}", content=b"text=x").status_code == 404
