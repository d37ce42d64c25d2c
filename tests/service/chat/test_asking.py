"""What people write in Slack and Mattermost: proved, taken once, acknowledged at once, answered where it came from, harmless to read."""

from __future__ import annotations

import json
import random
import time
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from service.chat.fakes import MATTERMOST, SLACK
from service.chat.house import CHANNEL, SECRET, TOKEN, House, signed, words

from aiops import app, settings
from aiops.adapters.chat import mattermost, slack
from aiops.errors import SourceRefused
from aiops.ops import Ops
from aiops.ports import Button, Message

EVIL = "=cmd|' /C calc'!A0 <!channel> @all **x** [y](http://evil.example) \x1b[31m\u202e <script>"
SHAPES = {"slack": SLACK["reply"], "mattermost": MATTERMOST["reply"]}


def answered(house: House, platform: str, count: int = 1) -> dict[str, Any]:
    """The newest answer, when so many more than `house.heard` have come."""
    replies = house.slack.replies if platform == "slack" else house.mattermost.replies
    house.slack.until(lambda: len(replies) >= count, "an answer")
    return dict(replies[-1][1])


@pytest.fixture(autouse=True)
def nothing_said(house: House) -> None:
    house.slack.replies.clear()
    house.mattermost.replies.clear()


@pytest.mark.parametrize("platform", ["slack", "mattermost"])
def test_a_command_is_acknowledged_and_the_verdict_follows(house: House, platform: str) -> None:
    taken = house.ask(platform, "why is ts-gateway-service slow?")
    assert taken.status_code == 200, taken.text
    jsonschema.validate(taken.json(), SHAPES[platform])
    assert taken.json()["response_type"] == "ephemeral"
    answer = answered(house, platform)
    assert answer["response_type"] == "in_channel"
    told = json.dumps(answer)
    assert "ts-" in told
    assert "https://aiops.example/reports/" in told
    entries = [dict(e["entry"]) for e in house.ops.store.audit_entries() if e["kind"] == "turn"]  # type: ignore[call-overload]
    assert (platform, "T1.U1", "submit") in {(e["channel"], e["actor"], e["action"]) for e in entries}


def test_a_question_in_chinese_is_acknowledged_in_chinese(house: House) -> None:
    taken = house.ask("slack", "ts-gateway-service 为什么慢?")
    assert taken.status_code == 200, taken.text
    assert any("\u4e00" <= char <= "\u9fff" for char in taken.json()["text"])
    answered(house, "slack")


def test_what_is_unclear_or_refused_is_told_back(house: House) -> None:
    for number, text in enumerate(("why is it slow?", "delete the production database"), 1):
        assert house.ask("slack", text).status_code == 200
        assert answered(house, "slack", number)["text"]
    assert answered(house, "slack", 2)["response_type"] == "ephemeral"
    assert house.ask("slack", "").json()["response_type"] == "ephemeral"


def test_a_command_comes_but_once(house: House) -> None:
    request = signed(urlencode(house.form("", "https://hooks.example/1")).encode())
    assert house.client.post("/v1/chat/slack", **request).status_code == 200
    again = house.client.post("/v1/chat/slack", **request)
    assert again.status_code == 401
    assert "before" in again.json()["detail"]
    assert house.ask("mattermost", "", trigger_id="same").status_code == 200
    assert house.ask("mattermost", "", trigger_id="same").status_code == 401


# ---------------------------------------------------------------- events of Slack


def test_an_address_is_confirmed_to_slack_alone(house: House) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"}).encode()
    answer = house.send_slack(body, "application/json")
    assert answer.json() == {"challenge": "3eZbrw1a"}
    assert house.client.post("/v1/chat/slack", content=body).status_code == 401


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("mention", {"text": "<@U0AIOPS> why is <http://ts-gateway-service|ts-gateway-service> slow &amp; late?"}),
        (
            "direct",
            {"type": "message", "channel_type": "im", "channel": "D1", "text": "why is ts-gateway-service slow?"},
        ),
    ],
)
def test_a_mention_is_answered_in_its_thread_once(house: House, name: str, event: dict[str, Any]) -> None:
    root = f"17999999{len(house.slack.posts):02}.000001"
    channel = event.get("channel", CHANNEL).replace("D", "C")  # the stand-in knows channels alone
    house.slack.posts[root] = {"channel": channel}
    try:
        for ago in (60, 30, 0):  # Slack sends it again, signed anew
            assert house.event(f"Ev{name}{root}", ago, ts=root, **event | {"channel": channel}).status_code == 200
        (answer,) = house.slack.until(lambda: house.slack.thread(root), "an answer")
        assert "ts-" in words(answer)
    finally:
        del house.slack.posts[root]


def test_bots_edits_and_what_is_said_to_others_start_nothing(house: House) -> None:
    before = sum(1 for _ in house.ops.store.audit_entries())
    for number, event in enumerate(
        (
            {"bot_id": "B1"},
            {"subtype": "message_changed"},
            {"type": "message", "channel_type": "channel"},
            {"type": "reaction_added"},
            {"user": ""},
            {"user": ["U1"]},
            {"channel": None},
        )
    ):
        assert house.event(f"Quiet{number}", text="why is ts-gateway-service slow?", **event).status_code == 200
    for told in (
        {"type": "event_callback", "event_id": "QuietX", "event": [1]},
        {"type": "event_callback", "event_id": "QuietY"},
    ):
        assert house.send_slack(json.dumps(told).encode(), "application/json").status_code == 200
    assert house.send_slack(b"[]", "application/json").status_code == 401
    assert sum(1 for _ in house.ops.store.audit_entries()) == before


# ---------------------------------------------------------------- what nobody signed


@pytest.mark.soak
def test_what_nobody_signed_is_refused_without_a_word_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    """Commands, events and presses; ten thousand of them in `make soak`."""
    rng = random.Random(7)
    told = (
        (urlencode(house.form("why?", "https://hooks.example/1")).encode(), "application/x-www-form-urlencoded"),
        (json.dumps({"type": "event_callback", "event_id": "E", "event": {"text": "é"}}).encode(), "application/json"),
        (urlencode({"payload": json.dumps({"type": "block_actions"})}).encode(), "application/x-www-form-urlencoded"),
    )
    for _ in range(10_000 if pytestconfig.getoption("soak") else 300):
        good, kind = rng.choice(told)
        request = signed(good, kind)
        body, headers = bytearray(good), dict(request["headers"])
        match rng.randrange(5):
            case 0:
                body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
            case 1:
                body = bytearray(rng.randbytes(rng.randrange(200)))
            case 2:
                body = body[: rng.randrange(len(body))] + "\u00fc\x00".encode()
            case 3:
                headers["x-slack-signature"] = "v0=" + rng.randbytes(32).hex()
            case _:
                headers["x-slack-request-timestamp"] = rng.choice(["", "-1", "9" * 30, "1", "0x10", "1e9"])
        refused = house.client.post("/v1/chat/slack", content=bytes(body), headers=headers)
        assert refused.status_code == 401, (refused.status_code, refused.text)
    for token in ("", "gr8toke", "gr8tok\u00e9n"):
        assert house.ask("mattermost", "why?", token=token).status_code == 401
    old = signed(told[0][0], now=time.time() - 301)
    assert house.client.post("/v1/chat/slack", **old).status_code == 401
    assert "Traceback" not in caplog.text
    assert not house.slack.replies
    assert SECRET.decode() not in caplog.text
    assert TOKEN.decode() not in caplog.text


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
    port, message = house.slack.url.rpartition(":")[2], Message(("x",))
    config = settings.load({"chat.slack_url": house.slack.url, "chat.mattermost_url": house.slack.url})
    for replies in (app.slack(config), app.mattermost(config)):
        with pytest.raises(SourceRefused, match="elsewhere"):
            replies.post(address.replace("{port}", port), message, True, 5)
    assert not house.slack.replies


def test_words_from_outside_do_nothing_in_a_message() -> None:
    button = Button("right", f"Right {EVIL}", "value", "good")
    message = Message((EVIL, EVIL * 400), "https://aiops.example/reports/1>|)x", "The <report>|", b"", (button,))
    said = slack.shown(message)
    jsonschema.validate({"channel": CHANNEL, **said}, SLACK["chat.postMessage"])
    first, second, last, _ = said["blocks"]
    assert {first["text"]["type"], second["text"]["type"]} == {"plain_text"}
    assert last["text"]["text"] == "<https://aiops.example/reports/1%3E%7C%29x|The &lt;report&gt;¦>"
    assert "<" not in said["text"]
    told = mattermost.shown(message)
    assert "@all" not in told
    assert "\\*\\*x" in told
    assert "](https://aiops.example/reports/1%3E|%29x)" in told
    for text in (json.dumps(said, ensure_ascii=False), told):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_what_is_too_long_is_cut_to_what_the_platforms_take() -> None:
    message = Message(tuple(["x" * 5000 + "*"] * 60), "https://aiops.example/r", "The whole report")
    jsonschema.validate({"channel": CHANNEL, **slack.shown(message)}, SLACK["chat.postMessage"])
    told = mattermost.shown(message)
    assert len(told) <= 16_383
    assert told.endswith("(https://aiops.example/r)")
    for empty in (Message(()), Message(("",))):
        assert mattermost.shown(empty)
        assert slack.shown(empty)["blocks"] is not None


def test_where_a_platform_is_not_set_up_nobody_is_heard(ops: Ops, serve: Any) -> None:
    client = serve(ops)
    for platform in ("slack", "mattermost"):
        assert client.post(f"/v1/chat/{platform}", content=b"text=x").status_code == 404
