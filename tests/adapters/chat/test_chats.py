"""What is sent to WeCom, WeChat, Feishu and DingTalk: in the shapes that they take, no longer and no oftener, and harmless."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.adapters.chat.dingtalk import BODY, DingTalkApp, DingTalkRobot, message_of, sign
from aiops.adapters.chat.feishu import CARD, FeishuApp, FeishuChat, card_of
from aiops.adapters.chat.pace import Pace
from aiops.adapters.chat.text import cut, fitted, harmless
from aiops.adapters.chat.wechat import WeChatAccount
from aiops.adapters.chat.wecom import MARKDOWN, TEXT, WeComApp, WeComChat, WeComRobot, markdown_of, text_of
from aiops.adapters.http import Access
from aiops.errors import SourceBusy, SourceError, SourceRefused
from aiops.ports import Button, Chat, ChatApp, Message

from servers.chats import PNG, Chats, chats

EVIL = "=cmd|' /C calc'!A0 <a href=\"http://evil.example\">x</a> <@all> @all **x** [y](http://evil.example) `z` www.evil.example \u202e\x1b[31m"
LINK = "https://aiops.example/reports/1?a=1&b=2"
BUTTONS = (Button("approve", "Approve", "v1.approve.abc", "good"), Button("reject", "Reject", "v1.reject.abc", "bad"))
VERDICT = Message(("cart is the cause", "since 10:00", "sure: 93 %"), LINK, "The whole report", PNG, BUTTONS)
HOSTILE = Message((EVIL, EVIL), LINK, "The whole report")
LONG = Message(("\U0001f525长" * 3000, *["é" * 3000] * 9), LINK, "The whole report", PNG, BUTTONS)


@pytest.fixture(scope="module")
def platform() -> Iterator[Chats]:
    with chats() as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "platform" in request.fixturenames:
        assert request.getfixturevalue("platform").came.empty()


def access(platform: Chats) -> Access:
    return Access.to(platform.url, "", "chat platform", password="SECRET-OF-acme")


def wecom(platform: Chats) -> WeComApp:
    return WeComApp(access(platform), "ww1", "SECRET-OF-acme", 7)


def wechat(platform: Chats) -> WeChatAccount:
    return WeChatAccount(access(platform), "wx1", "SECRET-OF-acme")


def feishu(platform: Chats) -> FeishuApp:
    return FeishuApp(access(platform), "cli_1", "SECRET-OF-acme")


def dingtalk(platform: Chats) -> DingTalkApp:
    return DingTalkApp(access(platform), "ding1", "SECRET-OF-acme")


APPS: dict[str, Callable[[Chats], ChatApp]] = {"wecom": wecom, "wechat": wechat, "feishu": feishu, "dingtalk": dingtalk}
ROOMS: dict[str, Callable[[Chats], Chat]] = {
    "wecom": lambda platform: WeComChat(wecom(platform), "wecom:acme/@all", "@all"),
    "wecom robot": lambda platform: WeComRobot(access(platform), "wecom:acme", "KEY"),
    "feishu": lambda platform: FeishuChat(feishu(platform), "feishu:acme/oc_1", "oc_1"),
    "dingtalk": lambda platform: DingTalkRobot(
        access(platform), "dingtalk:acme", "TOKEN", "SEC-OF-robot", dingtalk(platform)
    ),
}


def address(platform: Chats, name: str) -> str:
    return {"feishu": "om_1", "dingtalk": f"{platform.url}/robot/sendBySession?session=x"}.get(name, "zhang")


def drained(platform: Chats) -> list[Any]:
    found = []
    while not platform.came.empty():
        found.append(platform.next())
    return found


# ---------------------------------------------------------------- what every platform takes


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize(
    "message", [VERDICT, HOSTILE, LONG, Message(("",)), Message(())], ids=["full", "evil", "long", "empty", "none"]
)
def test_an_answer_is_taken_whatever_it_says(platform: Chats, name: str, message: Message) -> None:
    APPS[name](platform).answer(address(platform, name), message, 20, key="k")
    sent = drained(platform)
    assert sent
    if message is VERDICT:
        assert "cart is the cause" in json.dumps([one.body for one in sent])
        assert "https://aiops.example/reports/1" in json.dumps([one.body for one in sent])
        assert any("media-of-acme" in json.dumps(one.body) or "img_v3_1" in json.dumps(one.body) for one in sent)


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("message", [VERDICT, HOSTILE, LONG], ids=["full", "evil", "long"])
def test_a_post_is_taken_whatever_it_says(platform: Chats, name: str, message: Message) -> None:
    room = ROOMS[name](platform)
    assert room.find("k", 20) == ""
    post = room.post(message, 20, key="k")
    assert post
    first = drained(platform)
    room.post(message, 20, key="k2", thread=post)
    assert len(drained(platform)) == len(first)
    room.edit(post, Message(("resolved",), LINK, "The whole report"), 20)
    room.edit(post, Message(("resolved",), LINK, "The whole report", buttons=BUTTONS), 20)
    drained(platform)
    assert platform.url in room.ping(20)


@pytest.mark.parametrize("name", APPS)
def test_a_token_is_kept_and_got_anew_when_the_platform_ends_it(platform: Chats, name: str) -> None:
    app, message = APPS[name](platform), Message(("x",), picture=PNG)
    before = sum(count for path, count in platform.calls.items() if "token" in path)

    def fetched() -> int:
        return sum(count for path, count in platform.calls.items() if "token" in path) - before

    app.answer(address(platform, name), message, 20, key="1")
    app.answer(address(platform, name), message, 20, key="2")
    assert fetched() == 1
    platform.stale()
    app.answer(address(platform, name), message, 20, key="3")
    assert fetched() == 2
    assert len(drained(platform)) in (3, 6)


@pytest.mark.parametrize("name", ["wecom", "wechat", "feishu"])
def test_what_a_platform_refuses_is_told_without_a_secret(platform: Chats, name: str) -> None:
    paths = {"wecom": "message/send", "wechat": "message/custom/send", "feishu": "/open-apis/im/v1/messages/om_1/reply"}
    path = paths[name] if name == "feishu" else f"/cgi-bin/{paths[name]}"
    app = APPS[name](platform)
    platform.fail.append(
        (path, (200, {"errcode": 81013, "code": 230002, "errmsg": "no SECRET-OF-acme", "msg": "no SECRET-OF-acme"}))
    )
    with pytest.raises(SourceRefused, match=r"81013|230002") as refused:
        app.answer(address(platform, name), Message(("x",)), 20, key="k")
    assert "SECRET" not in str(refused.value)
    busy = {"wecom": 45009, "wechat": 45047, "feishu": 99991400}[name]
    platform.fail.append((path, (200, {"errcode": busy, "code": busy})))
    with pytest.raises(SourceBusy):
        app.answer(address(platform, name), Message(("x",)), 20, key="k")
    wrong = (
        type(app)(access(platform), "id", "WRONG", 1) if name == "wecom" else type(app)(access(platform), "id", "WRONG")
    )  # type: ignore[call-arg]
    with pytest.raises(SourceError):
        wrong.answer(address(platform, name), Message(("x",)), 20, key="k")


@pytest.mark.parametrize("name", APPS)
def test_a_picture_that_cannot_be_sent_costs_the_picture_alone(
    platform: Chats, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = {"feishu": "/open-apis/im/v1/images", "dingtalk": "/media/upload"}.get(name, "/cgi-bin/media/upload")
    platform.fail.append((path, (200, {"errcode": 40006, "code": 234006, "errmsg": "too big", "msg": "too big"})))
    APPS[name](platform).answer(address(platform, name), Message(("x",), picture=PNG), 20, key="k")
    assert len(drained(platform)) == 1
    assert "without its picture" in caplog.text


def test_the_addresses_of_the_platform_are_read(platform: Chats) -> None:
    assert wecom(platform).senders(20) == wechat(platform).senders(20) == ("127.0.0.1",)
    assert feishu(platform).senders(20) == dingtalk(platform).senders(20) == ()


# ---------------------------------------------------------------- what is each one's own


def test_wecom_sends_text_picture_and_card_once_each(platform: Chats) -> None:
    room = ROOMS["wecom"](platform)
    platform.fail.append(("/cgi-bin/message/send", (200, {"errcode": 0, "errmsg": "ok"})))  # the text
    platform.fail.append(
        ("/cgi-bin/message/send", (200, {"errcode": 45009, "errmsg": "busy"}))
    )  # the picture: costs it alone
    platform.fail.append(
        ("/cgi-bin/message/send", (200, {"errcode": 45009, "errmsg": "busy"}))
    )  # the card: another try
    with pytest.raises(SourceBusy):
        room.post(VERDICT, 20, key="k")
    code = room.post(VERDICT, 20, key="k")
    (card,) = drained(platform)
    assert card.body["template_card"]["button_list"][0]["key"] == "v1.approve.abc"
    room.edit(code, VERDICT, 20)  # nothing is to be pressed less: not worth the code, which counts once
    room.edit(code, Message(("closed",), LINK, "x", buttons=BUTTONS[:1]), 20)
    room.edit(code, Message(("closed again",), LINK, "x"), 20)
    (changed,) = drained(platform)
    assert changed.body["response_code"] == code.removeprefix("card 2 ")
    assert changed.body["atall"] == 1
    plain = room.post(Message(("no buttons",)), 20, key="k3")
    room.edit(plain, Message(("closed",), LINK, "x"), 20)
    assert [one.path for one in drained(platform)] == ["/cgi-bin/message/send"]


def test_an_answer_of_wecom_is_for_one_member(platform: Chats) -> None:
    for several in ("@all", "zhang|li"):
        with pytest.raises(SourceRefused, match="one member"):
            wecom(platform).answer(several, Message(("x",)), 20, key="k")


def test_a_card_of_feishu_is_changed_and_keeps_its_picture(platform: Chats) -> None:
    room = ROOMS["feishu"](platform)
    post = room.post(VERDICT, 20, key="k")
    room.post(Message(("more",)), 20, key="k2", thread=post)
    room.edit(post, Message(("closed",)), 20)
    made, reply, changed = drained(platform)
    assert made.path == "POST /open-apis/im/v1/messages"
    assert reply.path == f"POST /open-apis/im/v1/messages/{post.split()[0]}/reply"
    assert changed.path == f"PATCH /open-apis/im/v1/messages/{post.split()[0]}"
    assert "img_v3_1" in json.dumps(changed.body)
    assert "v1.approve.abc" not in json.dumps(changed.body)
    assert made.body["uuid"] != reply.body["uuid"]
    with pytest.raises(SourceRefused, match="no id"):
        room.edit("../../../x", VERDICT, 20)


def test_dingtalk_signs_and_answers_at_its_own_address_alone(platform: Chats) -> None:
    # printf '1577262236757\nthis is secret' | openssl dgst -sha256 -hmac 'this is secret' -binary | base64
    assert sign("this is secret", "1577262236757") == "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="
    port = platform.url.rpartition(":")[2]
    for elsewhere in (
        "https://evil.example/",
        f"http://127.0.0.1:{port}@evil.example/",
        "file:///x",
        "",
        f"https://127.0.0.1:{port}/",
    ):
        with pytest.raises(SourceRefused, match="elsewhere"):
            dingtalk(platform).answer(elsewhere, Message(("x",)), 5, key="k")


@pytest.mark.parametrize("name", ["wecom robot", "dingtalk"])
def test_a_robot_is_told_no_more_than_twenty_things_a_minute(platform: Chats, name: str) -> None:
    room = ROOMS[name](platform)
    for number in range(20):
        room.post(Message((f"{number}",)), 20, key=f"{number}")
    with pytest.raises(SourceBusy, match="20 in 60 s"):
        room.post(Message(("x",)), 20, key="x")
    assert len(drained(platform)) == 20


def test_a_pace_counts_the_last_minute() -> None:
    now = [0.0]
    pace = Pace(2, 60.0, lambda: now[0])
    pace.take("a", "b")
    now[0] = 30.0
    pace.take("a", "b")
    with pytest.raises(SourceBusy, match="the next in 30 s"):
        pace.take("a", "b")
    now[0] = 60.0
    pace.take("a", "b")


# ---------------------------------------------------------------- text


@given(st.text(max_size=300), st.integers(0, 400))
def test_cut_text_fits_and_breaks_no_character(text: str, most: int) -> None:
    short = cut(text, most)
    assert len(short.encode("utf-8", "replace")) <= max(most, 0) or short == text
    assert text.startswith(short.removesuffix("…").rstrip()) or not short


@given(st.lists(st.text(max_size=200), max_size=10), st.text(max_size=50), st.integers(60, 300))
def test_what_comes_last_is_never_cut(lines: list[str], last: str, most: int) -> None:
    last = last.encode("utf-8", "ignore").decode()
    told = fitted([line.encode("utf-8", "ignore").decode() for line in lines], most, last=last)
    assert len(told.encode()) <= max(most, 0)
    if len(last.encode()) < most:
        assert told.endswith(last)


@given(st.text(max_size=200))
def test_no_text_is_markup(text: str) -> None:
    line = harmless(text)
    assert not set(line) & set("<>[]*`|\\!@\n\r")
    assert "://" not in line
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in line)


def test_names_of_services_stay_as_they_are() -> None:
    for name in ("order_service", "cart-v2 (redis:6379) 93 %", "payments.eu-west_1", "a_b_c 5~6"):
        assert harmless(name) == name
    assert "_" not in harmless("_emphasis_ __strong__")


@given(st.lists(st.text(max_size=2000), max_size=12), st.booleans())
def test_no_message_is_too_long(lines: list[str], link: bool) -> None:
    message = Message(tuple(lines), LINK if link else "", "The whole report", buttons=BUTTONS)
    text: Any = text_of(message)["text"]
    assert 0 < len(text["content"].encode()) <= TEXT
    assert 0 < len(markdown_of(message).encode()) <= MARKDOWN
    assert len(json.dumps(card_of(message, "img")).encode()) <= CARD
    assert len(json.dumps(message_of(message, "@media")).encode()) <= BODY
    if link:
        assert LINK in text["content"]
        assert LINK in markdown_of(message)
