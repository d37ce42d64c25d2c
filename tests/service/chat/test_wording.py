"""What chats are told is a verdict and harmless, whatever stands in the alerts that led to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from service.chat.fakes import SLACK

from aiops.adapters.chat import mattermost, slack
from aiops.domain import Episode, Mode
from aiops.service.chat.pressing import Act, Press, Seal
from aiops.service.chat.wording import Manner, Pictures, Wording

from render.hostile import HOSTILE
from render.sample import filled, found, inconclusive

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
EPISODE = Episode("e", Mode.AUTO, NOON, NOON, NOON, alerts=3, firing=3, rounds=1, begun=NOON, recurrences=1)
OVER = replace(EPISODE, firing=0, closed=NOON + timedelta(minutes=12))


def wording(**more: object) -> Wording:
    manner = Manner(**{"external_url": "https://aiops.example/", **more})  # type: ignore[arg-type]
    return Wording(manner, "slack:C1", Seal(bytes(32)).close, Pictures(manner))


def test_the_first_post_holds_verdict_standing_link_and_buttons() -> None:
    report = found()
    message = wording().head(report, EPISODE)
    assert message.lines[:3] == report.summary
    assert message.lines[3] == "3 alerts, came back 1 times"
    assert message.link == f"https://aiops.example/reports/{report.id}"
    assert [button.name for button in message.buttons] == ["again", "right", "wrong"]
    assert all(
        len(button.value) <= 600 and button.name.isascii() and button.name.isalpha() for button in message.buttons
    )
    assert wording(external_url="").head(report, EPISODE).buttons == ()
    assert [button.name for button in wording().head(inconclusive(), OVER).buttons] in ([], ["right", "wrong"])


def test_the_end_is_told_in_the_language_and_the_time_zone_of_the_chat() -> None:
    there = wording(language="zh", zone=ZoneInfo("Asia/Shanghai"))
    end = there.end(found(), OVER)
    assert end.lines == ("已于 20:12:00 CST 恢复，历时 12 min。",)
    assert end.about["event"] == "episode.resolved"
    assert there.head(found(), OVER).lines[0].startswith("已恢复：")
    assert there.update(found(), EPISODE).lines[0] == "再次分析的结果："


@pytest.mark.parametrize("name", HOSTILE)
def test_words_from_outside_do_nothing_in_a_chat(name: str) -> None:
    report, told = replace(filled(found(), HOSTILE[name]), id="0123456789abcdef"), wording()  # the id is ours
    for message in (told.head(report, OVER), told.update(report, EPISODE), told.end(report, OVER)):
        said = slack.shown(message)
        jsonschema.validate({"channel": "C1", **said}, SLACK["chat.postMessage"])
        marked = [block["text"] for block in said["blocks"] if block.get("text", {}).get("type") == "mrkdwn"]
        assert [text["text"] for text in marked] == [f"<{slack.target(message.link)}|The whole report>"]
        assert "<" not in said["text"]
        shown = mattermost.shown(message)
        assert len(shown) <= mattermost.LONGEST
        for text in (json.dumps(said, ensure_ascii=False), shown, json.dumps(dict(message.about), ensure_ascii=False)):
            assert not set(text) & set("\x1b\x07\x9b\x00\u202e\u2066\u200f\u2028"), name
        assert "@channel" not in shown
        assert "https://evil" not in shown.replace("\\", "")


def test_what_a_button_brings_comes_back_as_it_was() -> None:
    seal = Seal(bytes(32))
    press = Press(Act.APPROVE, "r" * 16, "slack:C1", "p" * 32, "d" * 64, 2**31)
    assert seal.open(seal.close(press), 0) == press
    assert len(seal.close(press)) <= 600
