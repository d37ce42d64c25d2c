"""One thread for each episode in each chat: told once, whatever breaks in between, and pressed by who may."""

from __future__ import annotations

import json
import random
import time
from base64 import b64decode
from dataclasses import replace

import pytest
from service.chat.fakes import PNG
from service.chat.house import CHANNEL, TOWN, WEBHOOK, House, buttons, words

from aiops.domain import Actor, RepairState
from aiops.service.chat import signatures
from aiops.service.chat.pressing import Act, Press, Seal


def test_an_episode_is_one_thread_in_each_chat(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    first = house.alert("one thread")
    known = house.told(first, first)
    head = house.slack.posts[known["slack"].post]
    lines = list(house.ops.report(first).summary)
    for post in (head, house.mattermost.posts[known["mattermost"].post]):
        assert words(post).replace("\\", "").replace("\u2060", "").startswith(lines[0])
        assert f"https://aiops.example/reports/{first}" in words(post)
        assert {"again", "right", "wrong"} <= buttons(post).keys()
    assert [(c, t) for c, t, content in house.slack.files if content.startswith(PNG)][-1] == (
        CHANNEL,
        known["slack"].post,
    )
    assert house.mattermost.posts[known["mattermost"].post]["file_ids"]
    assert lines[0] in capfd.readouterr().err

    assert "begins" in house.press_slack(buttons(head)["again"])
    second = house.slack.until(lambda: (e := house.ops.store.episodes([first])[first]).rounds == 2 and e).diagnosis
    house.told(first, second)
    said, reply = house.slack.thread(known["slack"].post)
    assert words(said) == "T1.U1: asked for another diagnosis"
    assert lines[0].partition(",")[0] in words(reply)
    (reply,) = house.mattermost.thread(known["mattermost"].post)
    assert reply["file_ids"]
    assert second in words(house.slack.posts[known["slack"].post])  # the first post leads to the newest report

    house.alert("one thread", status="resolved")
    house.told(first, second, closed=True)
    assert "Resolved" in words(house.slack.thread(known["slack"].post)[-1])
    head = house.slack.posts[known["slack"].post]
    assert words(head).startswith("Resolved: ")
    assert buttons(head).keys() == {"right", "wrong"}
    assert "Resolved" in words(house.mattermost.thread(known["mattermost"].post)[-1])

    before = len(house.slack.posts), len(house.mattermost.posts), len(house.hook.events)
    house.restart()
    last = house.plant("after a restart")
    house.told(last, last)
    assert len(house.slack.posts) == before[0] + 1
    assert len(house.mattermost.posts) == before[1] + 1
    assert len(house.hook.events) == before[2] + 1


def test_events_for_programs_are_signed_and_told_in_order(house: House) -> None:
    episode = house.plant("events")
    house.told(episode, episode)
    house.resolve(episode)
    house.told(episode, episode, closed=True)
    mine = [(headers, body) for headers, body in house.hook.events if episode in body.decode()]
    for headers, body in mine:
        given = {name.encode(): value.encode() for name, value in headers.items()}
        assert signatures.webhook(b64decode(WEBHOOK), given, body, time.time())
    first, last = (json.loads(body) for _, body in mine)
    assert (first["type"], last["type"]) == ("diagnosis.completed", "episode.resolved")
    report = house.ops.report(episode)
    data = first["data"]
    assert (data["report"], data["verdict"], data["cause"]) == (episode, report.verdict, report.root_causes[0].node)
    assert tuple(data["summary"][:3]) == report.summary
    assert data["link"] == f"https://aiops.example/reports/{episode}"
    assert last["data"]["thread"] == episode


@pytest.mark.parametrize("trouble", ["503", "cut"])
def test_what_breaks_is_told_once_all_the_same(house: House, trouble: str) -> None:
    house.slack.trouble.extend([trouble, "", trouble])
    house.mattermost.trouble.extend([trouble, "", trouble])
    episode = house.plant(f"trouble {trouble}")
    known = house.told(episode, episode)
    house.resolve(episode)
    house.told(episode, episode, closed=True)
    assert not house.slack.trouble
    assert len([one for one in house.slack.heads() if episode in words(one)]) == 1
    assert len([one for one in house.mattermost.heads() if episode in words(one)]) == 1
    assert len(house.slack.thread(known["slack"].post)) == 1
    assert len(house.mattermost.thread(known["mattermost"].post)) == 1


def test_a_chat_that_refuses_costs_no_diagnosis_and_is_counted(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.slack.refuse = "not_in_channel"
    episode = house.plant("refused")
    known = house.told(episode, episode)
    assert known["slack"].post == ""
    assert known["mattermost"].post
    assert "not_in_channel" in caplog.text
    house.slack.refuse = ""
    page = house.client.get("/metrics", headers=house.bearer).text
    assert 'aiops_chat_messages_total{chat="slack",outcome="given_up"} 1' in page
    second = house.diagnosed(episode, 2)  # what comes later is told again
    assert house.told(episode, second)["slack"].post


def test_a_picture_that_can_not_be_drawn_costs_the_picture(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.render.png.svg", lambda *_, **__: 1 / 0)
    episode = house.plant("no picture")
    known = house.told(episode, episode)
    assert "file_ids" not in house.mattermost.posts[known["mattermost"].post]


def test_what_people_asked_is_no_news(house: House) -> None:
    asked = house.ops.submit(house.ops.task(service="ts-gateway-service")).id
    house.slack.until(lambda: house.ops.store.report(asked), "its report")
    episode = house.plant("after what was asked")
    house.told(episode, episode)
    assert not [one for one in house.slack.posts.values() if asked in words(one)]


# ---------------------------------------------------------------- buttons


@pytest.fixture(scope="module")
def pressable(house: House) -> str:
    """An episode whose posts may be pressed; its id."""
    episode = house.plant("pressed")
    house.told(episode, episode)
    return episode


def post_of(house: House, platform: str, episode: str) -> dict[str, object]:
    posts = house.slack.posts if platform == "slack" else house.mattermost.posts
    return posts[house.threads(episode)[platform].post]


def test_right_and_wrong_are_heard_and_told_in_the_thread(house: House, pressable: str) -> None:
    cause = house.ops.report(pressable).root_causes[0].node
    value = buttons(post_of(house, "slack", pressable))["right"]
    assert "Thank you" in house.press_slack(value)
    (told,) = [one for one in house.ops.store.told() if one.report_id == pressable]
    assert (told.cause, told.wrong) == (cause, False)
    thread = house.threads(pressable)["slack"].post
    house.slack.until(lambda: any(f"T1.U1: {cause} was the cause" in words(one) for one in house.slack.thread(thread)))
    value = buttons(post_of(house, "mattermost", pressable))["wrong"]
    answer = house.press_mattermost({"value": value})
    assert "Thank you" in answer.json()["ephemeral_text"]
    (told,) = [one for one in house.ops.store.told() if one.report_id == pressable]
    assert told.wrong


def test_only_who_is_listed_decides_and_only_over_the_plan_that_was_shown(house: House) -> None:
    report = house.plant("repaired")
    house.told(report, report)
    repairs = house.ops.by(Actor("http", "carol")).repairs
    kept = repairs.list(report_id=report) or (repairs.plan(report),)
    repair = kept[0]
    house.slack.until(lambda: "approve" in buttons(post_of(house, "slack", report)), "a button")
    given = buttons(post_of(house, "slack", report))
    for user in ("U1", "UBOB"):
        assert "not listed" in house.press_slack(given["approve"], user)
    seal = Seal(house.ops.store.secret("buttons"))
    press = seal.open(given["approve"], time.time())
    assert (press.repair, press.digest) == (repair.id, repair.hash)
    old = seal.close(replace(press, digest="0" * 64))
    house.press_slack(old, "UALICE")
    house.press_slack(seal.close(replace(press, digest="0" * 64, act=Act.REJECT)), "UALICE")
    assert repairs.get(repair.id).state is RepairState.PLANNED
    assert house.press_slack(given["approve"], "UALICE").startswith("Approved")
    after = repairs.get(repair.id)
    assert after.approvals[0].actor == Actor("slack", "alice")
    house.slack.until(
        lambda: "approve" not in buttons(post_of(house, "slack", report)) or after.state is RepairState.PLANNED
    )


def test_a_button_counts_in_its_channel_until_it_ends(house: House, pressable: str) -> None:
    value = buttons(post_of(house, "slack", pressable))["right"]
    assert "another channel" in house.press_slack(value, channel="C9999")
    seal = Seal(house.ops.store.secret("buttons"))
    ended = seal.close(Press(Act.RIGHT, pressable, f"slack:{CHANNEL}", ends=int(time.time()) - 1))
    assert "too old" in house.press_slack(ended)
    foreign = Seal(bytes(32)).close(Press(Act.RIGHT, pressable, f"slack:{CHANNEL}", ends=2**40))
    assert "not one of ours" in house.press_slack(foreign)
    value = buttons(post_of(house, "mattermost", pressable))["right"]
    assert house.press_mattermost({"value": value}, channel="elsewhere").status_code == 401
    trigger = {"trigger_id": "the same"}
    assert house.press_mattermost({"value": value}, **trigger).status_code == 200
    assert house.press_mattermost({"value": value}, **trigger).status_code == 401


@pytest.mark.soak
def test_no_change_of_a_press_is_believed(
    house: House, pressable: str, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    value = buttons(post_of(house, "mattermost", pressable))["again"]
    rng = random.Random(11)
    rounds = house.ops.store.episodes([pressable])[pressable].rounds
    for _ in range(10_000 if pytestconfig.getoption("soak") else 200):
        at = rng.randrange(len(value))
        changed = rng.choice(
            [value[:at], value[:at] + "é" + value[at:], value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]]
        )
        context = rng.choice([{"value": changed}, {"value": [changed]}, changed, None, {"value": {"a": 1}}])
        assert house.press_mattermost(context).status_code == 401
    kind = {"content-type": "application/json"}
    for body in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"context": {"value": "\\ud800"}}', b"null"):
        assert house.client.post("/v1/chat/mattermost", content=body, headers=kind).status_code == 401
    assert house.ops.store.episodes([pressable])[pressable].rounds == rounds
    assert "Traceback" not in caplog.text
    assert TOWN in house.threads(pressable)["mattermost"].chat
