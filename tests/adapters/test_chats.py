"""Slack, Mattermost and webhooks, asked as their documentation says, and what their answers come to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service.chat.fakes import PNG, Hook, Mattermost, Slack

from aiops import app, settings
from aiops.adapters.chat import webhook
from aiops.adapters.chat.mattermost import MattermostChat, MattermostReplies
from aiops.adapters.chat.slack import SlackChat, SlackReplies
from aiops.adapters.chat.webhook import WebhookChat
from aiops.adapters.http import Access
from aiops.errors import ConfigError, SourceError, SourceGarbled, SourceRefused, SourceUnreachable
from aiops.ports import Button, Chat, Message
from aiops.service.chat import signatures

TOWN = "town" + "0" * 22
MESSAGE = Message(
    ("Cause: payment-db", "Path: a -> b"),
    "https://aiops.example/reports/1",
    "The whole report",
    PNG + bytes(100),
    (Button("right", "Right", "signed", "good"),),
    {"event": "diagnosis.completed", "episode": "e"},
)


@pytest.fixture
def slack() -> Iterator[Slack]:
    server = Slack()
    yield server
    server.close()
    assert not server.wrong, server.wrong


@pytest.fixture
def mattermost() -> Iterator[Mattermost]:
    server = Mattermost()
    yield server
    server.close()
    assert not server.wrong, server.wrong


def in_slack(server: Slack, **more: Any) -> SlackChat:
    return SlackChat(Access(f"{server.url}/api", token=server.token), "C1", **more)


def in_mattermost(server: Mattermost, actions: str = "https://aiops.example/v1/chat/mattermost") -> MattermostChat:
    return MattermostChat(Access(server.url, token=server.token), TOWN, actions)


def walk(chat: Chat) -> tuple[str, str]:
    """A post, a reply and an edit; the ids of the first two, which are found again by their keys alone."""
    head = chat.post(MESSAGE, 30, key="head")
    reply = chat.post(replace(MESSAGE, lines=("later",), buttons=()), 30, key="reply", thread=head)
    assert chat.find("head", 30) == head
    assert chat.find("reply", 30, thread=head) == reply
    assert chat.find("other", 30) == chat.find("other", 30, thread=head) == ""
    chat.edit(head, replace(MESSAGE, lines=("Resolved",), buttons=()), 30)
    assert "aiops" in chat.ping(30)
    return head, reply


def test_slack_takes_posts_replies_edits_and_pictures(slack: Slack) -> None:
    head, reply = walk(in_slack(slack))
    assert slack.posts[reply]["thread_ts"] == head
    assert slack.posts[head]["text"] == "Resolved"
    assert [thread for _, thread, _ in slack.files] == [head, head]  # a file can't stand under a reply


def test_mattermost_takes_posts_replies_edits_and_pictures(mattermost: Mattermost) -> None:
    head, reply = walk(in_mattermost(mattermost))
    assert mattermost.posts[reply]["root_id"] == head
    assert mattermost.posts[head]["message"].startswith("Resolved")
    assert len(mattermost.files) == 2


def test_nothing_can_be_pressed_where_it_would_not_reach_us(slack: Slack, mattermost: Mattermost) -> None:
    plain = replace(MESSAGE, picture=b"")
    in_slack(slack, pressable=False).post(plain, 30, key="k")
    assert not [block for block in slack.heads()[0]["blocks"] if block["type"] == "actions"]
    in_mattermost(mattermost, actions="").post(plain, 30, key="k")
    assert "attachments" not in mattermost.heads()[0]["props"]
    assert SlackReplies(Access(slack.url)).channel("C1") is None
    assert MattermostReplies(Access(mattermost.url)).channel(TOWN) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [("not_in_channel", SourceRefused), ("invalid_auth", SourceRefused), ("fatal_error", SourceUnreachable)],
)
def test_what_slack_says_with_200_is_heard(slack: Slack, error: str, kind: type[SourceError]) -> None:
    slack.refuse = error
    with pytest.raises(kind, match=error) as raised:
        in_slack(slack).post(MESSAGE, 30, key="k")
    assert slack.token not in str(raised.value)


def test_a_post_whose_answer_is_lost_is_not_made_again_by_itself(slack: Slack, mattermost: Mattermost) -> None:
    for chat, server in ((in_slack(slack), slack), (in_mattermost(mattermost), mattermost)):
        server.trouble.append("cut")
        with pytest.raises(SourceUnreachable):
            chat.post(MESSAGE, 30, key="k")
        assert len(server.posts) == 1  # type: ignore[attr-defined]
        assert chat.find("k", 30)


def test_a_picture_that_can_not_be_sent_costs_the_picture(
    slack: Slack, mattermost: Mattermost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("https://evil.example/upload", "http://127.0.0.1:1/upload", f"{slack.url}@evil.example/x", ""):
        monkeypatch.setattr(
            Slack, "_files_getUploadURLExternal", lambda *_, a=address: {"upload_url": a, "file_id": "F123"}
        )
        assert in_slack(slack).post(MESSAGE, 30, key="k")
    assert not slack.files
    assert not [asked for asked in slack.asked if asked.path.startswith("/upload/")]
    monkeypatch.setattr("service.chat.fakes._id", lambda number: "../../users" if number >= 100 else f"{number:026d}")
    assert in_mattermost(mattermost).post(MESSAGE, 30, key="k")
    assert "file_ids" not in mattermost.heads()[0]


def test_an_id_of_mattermost_that_is_none_becomes_part_of_no_address(
    mattermost: Mattermost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.chat.fakes._id", lambda _: "x/../../users/me")
    with pytest.raises(SourceGarbled):
        in_mattermost(mattermost).post(replace(MESSAGE, picture=b""), 30, key="k")


def test_an_event_is_signed_and_known_by_its_key() -> None:
    server = Hook()
    try:
        key = base64.b64encode(b"k" * 32).decode()
        chat = WebhookChat(Access(server.url), webhook.secret(f"whsec_{key}", "x"), lambda: 1_700_000_000.0)
        assert chat.post(MESSAGE, 30, key="evt_1", thread="evt_0") == "evt_1"
        ((headers, body),) = server.events
        given = {name.encode(): value.encode() for name, value in headers.items()}
        assert signatures.webhook(b"k" * 32, given, body, 1_700_000_000.0)
        told = json.loads(body)
        assert (told["type"], told["timestamp"]) == ("diagnosis.completed", "2023-11-14T22:13:20+00:00")
        assert told["data"] == {
            "episode": "e",
            "summary": list(MESSAGE.lines),
            "link": MESSAGE.link,
            "thread": "evt_0",
        }
        server.trouble.append("410")
        with pytest.raises(SourceRefused):
            chat.post(MESSAGE, 30, key="evt_2")
        assert chat.find("evt_1", 1) == ""
    finally:
        server.close()


@pytest.mark.parametrize(
    "text", ["", "whsec_", "not base64!", "whsec_c2hvcnQ=", "é", base64.b64encode(bytes(65)).decode()]
)
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="the setting"):
        webhook.secret(text, "the setting")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("slack:", "names no channel"),
        ("slack:C1/../x", "names no channel"),
        ("slack:C1 console: slack:C1", "twice"),
        ("webhook+https://hooks.example/x?token=y", "query"),
        ("webhook+https://u:p@hooks.example/x", "password"),
        ("pigeon:loft", "no adapter"),
    ],
)
def test_what_names_no_chat_is_told_so(tmp_path: Path, url: str, words: str) -> None:
    held = tmp_path / "secret"
    held.write_text(base64.b64encode(bytes(32)).decode())
    flags = {f"chat.{name}_file": str(held) for name in ("slack_bot", "mattermost_bot", "webhook_secret")}
    with pytest.raises(ConfigError, match=words):
        app.build(settings.load(flags | {"chat.url": url, "model.url": ""}, str(tmp_path / "home")), keep=False)
    with pytest.raises(ConfigError, match="slack_bot_file"):
        app.build(settings.load({"chat.url": "slack:C1", "model.url": ""}, str(tmp_path / "home")), keep=False)
