"""What every Store must do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiops.adapters.sqlite import StoreDB
from aiops.domain import Alert, Episode, Feedback, Known, Mode, Thread, TimeRange
from aiops.errors import DataError, Overloaded, StoreError
from aiops.ports import Ledger, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same, at first empty, store as often as it is called."""
    stores: list[Store] = []

    def open_it() -> Store:
        stores.append(StoreDB(tmp_path / "store.db"))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()


def alert(fingerprint: str, name: str = "HighLatency", at: datetime = NOON, status: str = "firing", group: str = "g"):
    return Alert(fingerprint, status, {"alertname": name}, {}, at, group_key=group)


def take(store: Store, *alerts: Alert, episode: str = "e") -> list[Known]:
    """Records them under one episode and answers what was known of them."""

    def run(ledger: Ledger) -> list[Known]:
        known = ledger.known(alerts)
        ledger.record(alerts, [episode] * len(alerts))
        return list(known)

    return store.fold(run, datetime.now(UTC))


def new(store: Store, *alerts: Alert) -> list[Alert]:
    """Those that were not recorded before."""
    return [one for one, known in zip(alerts, take(store, *alerts), strict=True) if not known.repeated]


def ids(found: tuple) -> list[str]:
    return [each["id"] for each in found]


# ---------------------------------------------------------------- reports


def test_empty(store: Store):
    assert store.report("r") is store.recording("r") is store.session("s") is None
    assert store.reports() == store.find("f", "a", None, 10) == ()
    assert store.audit_verify() == (0, "")
    assert store.purge(FUTURE) == 0


def test_a_report_comes_back_byte_for_byte(opened: Callable[[], Store]):
    store = opened()
    store.save("r1", b'{"a": "\xe7\xbb\x93"}', bytes(range(256)) * 5000, {"verdict": "found", "cause": "结账 <b>"})
    store.close()
    again = opened()
    assert again.report("r1") == b'{"a": "\xe7\xbb\x93"}'
    assert again.recording("r1") == bytes(range(256)) * 5000
    (shown,) = again.reports()
    assert {**shown, "created": ""} == {"id": "r1", "created": "", "verdict": "found", "cause": "结账 <b>"}
    assert abs(datetime.fromisoformat(shown["created"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_newest_first(store: Store):
    for number in range(5):
        store.save(f"r{number}", b"", b"", {})
    assert ids(store.reports()) == ["r4", "r3", "r2", "r1", "r0"]
    assert ids(store.reports(limit=2)) == ["r4", "r3"]


def test_saved_again_is_replaced_and_newest(store: Store):
    store.save("a", b"1", b"1", {"verdict": "found"}, [alert("old")])
    store.save("b", b"", b"", {})
    store.save("a", b"2", b"2", {"verdict": "inconclusive"}, [alert("new")])
    assert (store.report("a"), store.recording("a")) == (b"2", b"2")
    assert [(each["id"], each.get("verdict")) for each in store.reports()] == [("a", "inconclusive"), ("b", None)]
    assert ids(store.find("old", "", None, 10)) == []
    assert ids(store.find("new", "", None, 10)) == ["a"]


def test_reports_are_found_by_any_of_their_alerts(store: Store):
    store.save("a", b"", b"", {}, [alert("f1"), alert("f2", "DiskFull"), alert("f1")])
    store.save("b", b"", b"", {}, [alert("f1", "Other")])
    store.save("c", b"", b"", {})
    assert ids(store.find("f1", "", None, 10)) == ["b", "a"]
    assert ids(store.find("f2", "", None, 10)) == ["a"]
    assert ids(store.find("", "HighLatency", None, 10)) == ["a"]
    assert ids(store.find("f1", "Other", None, 10)) == ["b"]
    assert ids(store.find("f2", "HighLatency", None, 10)) == []
    assert ids(store.find("f1", "", None, 1)) == ["b"]
    assert ids(store.find("", "", None, 10)) == ["c", "b", "a"]
    assert ids(store.find("' OR 1=1 --", "", None, 10)) == []


def test_reports_are_found_by_an_overlapping_window(store: Store):
    store.save("r", b"", b"", {}, [alert("f")], TimeRange(NOON, NOON + HOUR))

    def found(start: datetime, end: datetime) -> bool:
        return bool(store.find("f", "", TimeRange(start, end), 10))

    assert found(NOON - HOUR, NOON + timedelta(seconds=1))
    assert found(NOON + HOUR / 2, NOON + HOUR / 2)
    assert found(NOON - HOUR, NOON + 2 * HOUR)
    assert found(NOON, NOON)
    assert not found(NOON - HOUR, NOON)
    assert not found(NOON + HOUR, NOON + 2 * HOUR)


def test_a_report_about_one_moment_is_found_around_it(store: Store):
    store.save("r", b"", b"", {}, (), TimeRange(NOON, NOON))
    assert store.find("", "", TimeRange(NOON, NOON + HOUR), 1)
    assert not store.find("", "", TimeRange(NOON - HOUR, NOON), 1)
    store.save("now", b"", b"", {})
    assert ids(store.find("", "", TimeRange(datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR), 1)) == ["now"]


# ---------------------------------------------------------------- notifications


def test_a_notification_is_new_once(opened: Callable[[], Store]):
    store = opened()
    first, second = alert("f1"), alert("f2")
    assert new(store, first, second) == [first, second]
    assert new(store, second, first) == []
    store.close()
    assert new(opened(), first) == []


def test_each_part_of_the_notification_key_tells(store: Store):
    one = alert("f1")
    others = (
        alert("f2"),
        alert("f1", at=NOON + timedelta(seconds=1)),
        alert("f1", status="resolved"),
        alert("f1", group="h"),
        alert("1", group="gf"),
        replace(one, fingerprint="f", group_key='g", "1'),
    )
    assert new(store, one, *others) == [one, *others]
    assert new(store, replace(one, annotations={"summary": "reworded"})) == []


def test_a_repetition_and_a_resolution_are_told_the_diagnosis(store: Store):
    one = alert("f1")
    assert take(store, one, episode="first") == [Known(repeated=False)]
    assert take(store, one, episode="second") == [Known(repeated=True, episode="first")]
    resolved = replace(one, status="resolved")
    assert take(store, resolved, episode="third") == [Known(repeated=False, episode="first")]
    assert take(store, resolved) == [Known(repeated=True, episode="third")]


def test_twice_at_once_keeps_the_first(store: Store):
    one = alert("f1")
    store.fold(lambda ledger: ledger.record([one, one], ["a", "b"]), NOON)
    assert take(store, one) == [Known(repeated=True, episode="a")]


def test_what_is_not_ended_is_not_recorded(store: Store):
    def full(ledger: Ledger) -> None:
        ledger.record([alert("f1")], ["e"])
        ledger.save([episode("e")])
        raise Overloaded("full")

    with pytest.raises(Overloaded):
        store.fold(full, NOON)
    assert store.episodes(["e"]) == {}
    assert new(store, alert("f1")) == [alert("f1")]


def test_two_who_see_the_same_share_it(store: Store):
    alerts = [alert(f"f{i}") for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda part: new(store, *part), [alerts[i : i + 50] for i in range(0, 200, 25)] * 2))
    assert sorted(each.fingerprint for part in parts for each in part) == sorted(each.fingerprint for each in alerts)


# ---------------------------------------------------------------- episodes


def episode(name: str, **more: Any) -> Episode:
    return Episode(name, Mode.AUTO, NOON, NOON, NOON, **more)


def test_an_episode_comes_back_as_it_was_saved(opened: Callable[[], Store]):
    store = opened()
    full = episode(
        "e",
        why="结账",
        alerts=7,
        kept=3,
        firing=2,
        severity=4,
        rounds=2,
        begun=NOON,
        due=NOON + HOUR,
        closed=NOON + 2 * HOUR,
        recurrences=5,
    )
    store.fold(lambda ledger: ledger.save([episode("e"), episode("f")]), NOON)
    store.fold(lambda ledger: ledger.save([full]), NOON)
    store.close()
    assert opened().episodes(["e", "f", "none"]) == {"e": full, "f": episode("f")}


def test_a_joint_leads_to_the_latest_episode(store: Store):
    long = "x" * 5000
    joints = [("group", "g"), ("node", "g"), ("node", long), ("node", "a\x00b"), ("node", "结账")]

    def run(ledger: Ledger) -> None:
        ledger.join("e", joints)
        ledger.join("f", [("group", "g")])

    store.fold(run, NOON)
    known = store.fold(lambda ledger: ledger.joints([*joints, ("node", "other")]), NOON)
    assert known == {joint: "f" if joint[0] == "group" else "e" for joint in joints}


def test_where_one_went_into_another_both_ids_lead_there(store: Store):
    def run(ledger: Ledger) -> None:
        ledger.save([episode(name, due=NOON) for name in "abc"])
        for name in "abc":
            ledger.keep(name, [alert(f"f{name}")])
        ledger.merge("a", "b")
        ledger.merge("b", "c")

    store.fold(run, NOON)
    assert {name: found.id for name, found in store.episodes("abc").items()} == dict.fromkeys("abc", "c")
    assert [e.id for e in store.due(NOON, 10)] == ["c"]
    kept = store.fold(lambda ledger: ledger.alerts("c"), NOON)
    assert sorted(one.fingerprint for _, one in kept) == ["fa", "fb", "fc"]
    assert store.figures() == {"open": 1, "waiting": 1}


def test_what_is_due_comes_in_order_and_what_is_over_last(store: Store):
    minutes = {"late": 3, "early": 1, "over": 0, "middle": 2, "tomorrow": 24 * 60}
    due = {name: NOON + timedelta(minutes=m) for name, m in minutes.items()}
    quiet = replace(episode("quiet", due=NOON), mode=Mode.MUTED)
    listed = [episode(name, due=at, closed=NOON if name == "over" else None) for name, at in due.items()]
    store.fold(lambda ledger: ledger.save([*listed, quiet]), NOON)
    assert [e.id for e in store.due(NOON + HOUR, 10)] == ["early", "middle", "late", "over"]
    assert [e.id for e in store.due(NOON + HOUR, 2)] == ["early", "middle"]
    assert [e.id for e in store.muted()] == ["quiet"]


def test_each_diagnosis_of_an_episode_leads_to_it(store: Store):
    first = episode("e", rounds=1, begun=NOON)
    store.fold(lambda ledger: ledger.begin(first), NOON)
    second = replace(first, due=NOON + HOUR)
    store.fold(lambda ledger: ledger.save([second]), NOON)
    assert store.episodes(["e", first.diagnosis_of(2), first.diagnosis_of(3)]) == {
        "e": second,
        first.diagnosis_of(2): second,
    }
    assert store.begun(NOON - HOUR) == 1
    assert store.begun(NOON) == 0


def test_a_report_is_found_by_an_alert_that_joined_later(store: Store):
    def run(ledger: Ledger) -> None:
        ledger.begin(episode("e", rounds=1))
        ledger.keep("e", [alert("late")])

    store.fold(run, NOON)
    store.save("e", b"{}", b"", {}, [alert("f1")])
    assert ids(store.find("late", "", None, 10)) == ids(store.find("f1", "", None, 10)) == ["e"]
    assert store.find("never", "", None, 10) == ()


def test_what_is_not_heard_of_expires_and_is_purged_when_closed(store: Store):
    heard = {"old": NOON - HOUR, "new": NOON}
    store.fold(lambda ledger: ledger.save([replace(episode(n), heard=at) for n, at in heard.items()]), NOON)
    assert store.fold(lambda ledger: ledger.expire(NOON - timedelta(minutes=1)), NOON) == 1
    assert {n: e.closed for n, e in store.episodes(heard).items()} == {"old": NOON, "new": None}
    store.purge(NOON + HOUR)
    assert set(store.episodes(heard)) == {"new"}


def test_a_clock_that_was_put_back_leaves_nothing_in_the_future(store: Store):
    ahead = NOON + 24 * HOUR
    there = Episode("e", Mode.AUTO, ahead, ahead, ahead, rounds=1, begun=ahead, due=ahead)
    store.fold(lambda ledger: ledger.begin(there), ahead)
    store.fold(lambda ledger: ledger.settle(NOON + HOUR), NOON)
    settled = Episode("e", Mode.AUTO, NOON, NOON, NOON, rounds=1, begun=NOON, due=NOON + HOUR)
    assert store.episodes(["e"]) == {"e": settled}
    assert store.begun(NOON) == 0


# ---------------------------------------------------------------- what is told elsewhere


def test_what_is_annotated_is_told_once_and_again_when_it_changes(opened: Callable[[], Store]):
    store = opened()
    episode = Episode("e", Mode.AUTO, opened=NOON, grown=NOON, heard=NOON, rounds=1, begun=NOON)
    store.fold(lambda ledger: ledger.begin(episode), NOON)

    def untold() -> list[tuple[str, str | None, bool]]:
        return [(one.diagnosis, one.annotation, one.version > 0) for one in store.untold(NOON - HOUR, 10)]

    assert untold() == [("e", None, False)]
    assert store.untold(NOON, 10) == ()
    assert store.untold(NOON - HOUR, 0) == ()
    store.annotated("e", "", 0)
    assert untold() == [("e", "", False)]
    store.annotated("e", "7", 0)
    store = opened()
    assert untold() == [("e", "7", False)]
    for again in (False, True):
        store.save("e", b"{}", b"r", {"verdict": "found"})
        assert untold() == [("e", "7", True)], again
        store.annotated("e", "7", store.untold(NOON - HOUR, 10)[0].version)
        assert untold() == []
    store.annotated("e", "7", -1)
    assert untold() == [("e", "7", True)]  # there was none, and now there is
    store.save("x", b"{}", b"r", {})  # nobody's alert led to it
    assert [one for one, _, _ in untold()] == ["e"]


def test_that_there_will_be_no_report_is_told_once(store: Store):
    store.fold(
        lambda ledger: ledger.begin(Episode("e", Mode.AUTO, opened=NOON, grown=NOON, heard=NOON, rounds=1)), NOON
    )
    store.annotated("e", "7", -1)
    assert store.untold(NOON - HOUR, 10) == ()


# ---------------------------------------------------------------- what may come once


def test_a_key_is_used_once_across_restarts(opened: Callable[[], Store]):
    store = opened()
    assert store.once(b"a", FUTURE)
    assert not store.once(b"a", FUTURE)
    assert store.once(b"b", FUTURE)
    assert not opened().once(b"a", FUTURE)


def test_one_of_many_that_come_at_once_is_first(store: Store):
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.once(b"same", FUTURE), range(64))) == 1


def test_a_key_that_nobody_would_believe_is_forgotten(store: Store):
    assert store.once(b"old", datetime.now(UTC) - timedelta(seconds=1))
    assert store.once(b"old", FUTURE)


# ---------------------------------------------------------------- sessions


def test_a_session_holds_what_was_said_last(opened: Callable[[], Store]):
    store = opened()
    slots = {"intent": "diagnose", "services": ["结账"], "window": None, "deep": {"n": 1.5, "yes": True}}
    store.save_session("s", {"intent": "query"}, FUTURE)
    store.save_session("s", slots, FUTURE)
    store.close()
    assert opened().session("s") == slots


def test_an_expired_session_is_forgotten(store: Store):
    store.save_session("s", {"intent": "query"}, datetime.now(UTC) - timedelta(seconds=1))
    assert store.session("s") is None


def test_a_session_that_json_cannot_hold_is_refused(store: Store):
    with pytest.raises(DataError):
        store.save_session("s", {"at": NOON}, FUTURE)
    with pytest.raises(DataError):
        store.save_session("s", {"x": float("nan")}, FUTURE)


# ---------------------------------------------------------------- feedback


def told(report: str, cause: str = "redis", symptom: str = "checkout", wrong: bool = False, note: str = "", at=NOON):
    return Feedback(report, symptom, cause, wrong, note, at)


def test_what_was_told_is_kept(opened: Callable[[], Store]):
    store = opened()
    first, second = told("r1", "缓存", note='a "note"\n'), told("r2", wrong=True, at=NOON + HOUR)
    other = told("r3", symptom="cart", at=NOON - HOUR)
    for each in (second, other, first):
        assert store.tell(each)
    store.close()
    again = opened()
    assert again.told() == (other, first, second)
    assert again.told("checkout") == (first, second)
    assert again.told("' OR 1=1 --") == again.told("") == ()


def test_telling_twice_is_telling_once(store: Store):
    assert store.tell(told("r1"))
    assert not store.tell(told("r1", at=NOON + HOUR))
    assert store.told() == (told("r1"),)
    assert [each["kind"] for each in store.audit_entries()] == ["feedback"]


def test_who_tells_otherwise_replaces_and_both_are_audited(store: Store):
    store.tell(told("r1"))
    assert store.tell(told("r1", wrong=True))
    assert store.tell(told("r1", "cart", note="it was the cart"))
    assert store.told() == (told("r1", "cart", note="it was the cart"),)
    entries = [each["entry"] for each in store.audit_entries()]
    assert [(e["cause"], e["wrong"]) for e in entries] == [("redis", False), ("redis", True), ("cart", False)]
    assert store.audit_verify() == (3, "")


def test_what_was_told_can_be_withdrawn(store: Store):
    store.tell(told("r1"))
    assert not store.untell("r2")
    assert store.untell("r1")
    assert not store.untell("r1")
    assert store.told() == ()
    assert [each["kind"] for each in store.audit_entries()] == ["feedback", "feedback withdrawn"]


def test_what_was_told_outlives_its_report(store: Store):
    store.save("r1", b"", b"", {})
    store.tell(told("r1"))
    store.purge(FUTURE)
    assert store.told() == (told("r1"),)


# ---------------------------------------------------------------- audit


def test_the_chain_holds(opened: Callable[[], Store]):
    store = opened()
    for number in range(5):
        store.audit("turn", {"text": "为什么慢?", "number": number})
    store.close()
    again = opened()
    again.audit("approval", {"by": "ann"})
    assert again.audit_verify() == (6, "")
    entries = list(again.audit_entries())
    assert [(e["number"], e["kind"]) for e in entries] == [*((i, "turn") for i in range(5)), (5, "approval")]
    assert entries[2]["entry"] == {"text": "为什么慢?", "number": 2}
    assert again.audit_head() == (6, entries[-1]["hash"])
    assert len({e["hash"] for e in entries}) == 6
    assert json.dumps(entries)


def test_a_long_chain_is_read_in_whole(store: Store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store.audit("turn", {"i": i}), range(2100)))
    assert store.audit_verify() == (2100, "")
    entries = list(store.audit_entries())
    assert [e["number"] for e in entries] == list(range(2100))
    assert sorted(e["entry"]["i"] for e in entries) == list(range(2100))  # type: ignore[index,call-overload]


def test_part_of_the_chain_is_read_with_what_it_hangs_on(store: Store):
    for number in range(5):
        store.audit("turn", {"number": number})
    entries = list(store.audit_entries())
    assert [e["previous"] for e in entries[1:]] == [e["hash"] for e in entries[:-1]]
    assert entries[0]["previous"] == "00" * 32
    assert list(store.audit_entries(2, 4)) == entries[2:4]
    assert list(store.audit_entries(5)) == []
    assert list(store.audit_entries(-3, 1)) == entries[:1]


def test_what_is_archived_is_gone_and_the_chain_goes_on(opened: Callable[[], Store]):
    store = opened()
    for number in range(5):
        store.audit("turn", {"number": number})
    before = list(store.audit_entries())
    store.audit_archive(3, {"file": "old.jsonl"})
    assert store.audit_verify() == (6, "")
    left = list(store.audit_entries())
    assert left[:2] == before[3:]
    assert (left[2]["kind"], left[2]["entry"]) == (
        "checkpoint",
        {"file": "old.jsonl", "first": 0, "until": 3, "hash": before[2]["hash"]},
    )
    store.audit_archive(6, {})
    store.audit("turn", {})
    store.close()
    again = opened()
    assert again.audit_verify() == (8, "")
    (checkpoint, _) = again.audit_entries()
    assert (checkpoint["number"], checkpoint["previous"]) == (6, left[-1]["hash"])
    assert checkpoint["entry"] == {"first": 3, "until": 6, "hash": left[-1]["hash"]}


def test_nothing_is_archived_that_is_not_there(store: Store):
    store.audit("turn", {})
    for until in (-1, 0, 2, 9):
        with pytest.raises(DataError):
            store.audit_archive(until, {})
    store.audit_archive(1, {})
    with pytest.raises(DataError):
        store.audit_archive(1, {})
    assert store.audit_verify() == (2, "")


def test_only_archiving_writes_a_checkpoint(store: Store):
    with pytest.raises(DataError):
        store.audit("checkpoint", {"until": 0})
    assert store.audit_verify() == (0, "")


def test_several_that_opened_it_extend_one_chain(opened: Callable[[], Store]):
    stores = [opened() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: stores[i % 4].audit("turn", {"i": i}), range(200)))
    for store in stores:
        assert store.audit_verify() == (200, "")
    assert sorted(e["entry"]["i"] for e in stores[0].audit_entries()) == list(range(200))  # type: ignore[index,call-overload]


def test_what_json_cannot_hold_is_refused_and_leaves_no_entry(store: Store):
    for value in (float("nan"), b"bytes", {1}):
        with pytest.raises(DataError):
            store.audit("turn", {"value": value})
    assert store.audit_head() == (0, "00" * 32)


# ---------------------------------------------------------------- what chats were told


def diagnosed(store: Store, name: str = "e", rounds: int = 1) -> str:
    """An episode of which a diagnosis has begun and been stored; its id."""
    one = episode(name, rounds=rounds, begun=NOON)
    store.fold(lambda ledger: ledger.begin(one), NOON)
    store.save(one.diagnosis, b"{}", b"", {})
    return one.diagnosis


def test_a_chat_hears_of_what_comes_after_it_did(opened: Callable[[], Store]):
    store = opened()
    diagnosed(store, "old")
    assert store.threads("console:", NOON, 10) == ()
    report = diagnosed(store, "new")
    store.save("asked by somebody", b"{}", b"", {})
    assert store.threads("console:", NOON, 10) == (Thread("console:", "new", report, due=NOON),)
    assert store.threads("slack:C1", NOON, 10) == ()
    store.close()
    again = opened()
    assert again.threads("console:", NOON, 10) == (Thread("console:", "new", report, due=NOON),)
    diagnosed(again, "while nobody named that chat")
    assert again.threads("slack:C1", datetime.now(UTC) + timedelta(days=2), 10) == ()


def test_a_thread_is_due_for_each_diagnosis_and_once_more_at_the_end(store: Store):
    store.threads("c", NOON, 1)
    first = diagnosed(store)
    (thread,) = store.threads("c", NOON, 10)
    told = replace(thread, post="p", report=first)
    store.save_thread(told, None)
    assert store.threads("c", NOON, 10) == ()
    second = diagnosed(store, rounds=2)
    (thread,) = store.threads("c", NOON, 10)
    assert thread == replace(told, latest=second, due=NOON)
    store.save_thread(replace(thread, report=second, tries=3), NOON + HOUR)
    assert store.threads("c", NOON, 10) == ()
    (thread,) = store.threads("c", NOON + HOUR, 10)
    assert thread.tries == 3
    store.save_thread(thread, None)
    store.fold(lambda ledger: ledger.save([episode("e", rounds=2, begun=NOON, closed=NOON)]), NOON)
    (thread,) = store.threads("c", NOON, 10)
    store.save_thread(replace(thread, closed=True), None)
    assert store.threads("c", NOON, 10) == ()
    assert store.threads_of("e") == (Thread("c", "e", second, "p", second, True, 3),)


def test_what_stirs_a_thread_while_it_is_told_is_not_lost(store: Store):
    store.threads("c", NOON, 1)
    diagnosed(store)
    (thread,) = store.threads("c", NOON, 10)
    store.stir("e", NOON + HOUR)
    store.save_thread(replace(thread, post="p"), None)
    assert store.threads("c", NOON + HOUR, 10) == (replace(thread, post="p", due=NOON + HOUR),)


def test_threads_go_with_their_episodes(store: Store):
    store.threads("c", NOON, 1)
    diagnosed(store)
    store.fold(lambda ledger: ledger.save([episode("e", rounds=1, begun=NOON, closed=NOON)]), NOON)
    assert len(store.threads("c", NOON, 10)) == 1
    store.purge(FUTURE)
    assert store.threads("c", FUTURE, 10) == store.threads_of("e") == ()


def test_a_secret_stays_and_is_no_other(opened: Callable[[], Store]):
    store = opened()
    one = store.secret("buttons")
    assert len(one) == 32
    assert one != store.secret("other")
    store.close()
    assert opened().secret("buttons") == one


# ---------------------------------------------------------------- life


def test_purge_forgets_by_age_and_leaves_the_audit(store: Store):
    store.save("r", b"", b"", {}, [alert("f")])
    take(store, alert("f"))
    store.save_session("s", {}, FUTURE)
    store.audit("turn", {})
    assert store.purge(datetime.now(UTC) - HOUR) == 0
    assert (store.report("r"), new(store, alert("f")), store.session("s")) == (b"", [], {})
    assert store.purge(datetime.now(UTC) + HOUR) == 1
    assert store.report("r") is store.recording("r") is None
    assert store.find("f", "", None, 10) == ()
    assert new(store, alert("f")) == [alert("f")]
    assert store.session("s") == {}
    assert store.audit_verify() == (1, "")


def test_half_a_surrogate_pair_is_refused_and_harms_nobody(store: Store):
    with pytest.raises(DataError):
        store.save("r\ud800", b"", b"", {})
    with pytest.raises(DataError):
        store.find("\ud800", "", None, 1)
    assert len(new(store, alert("f\ud800"), alert("f"))) == 2
    assert store.reports() == ()


def test_ping_names_what_answers(store: Store):
    assert store.ping(5)


def test_closed_twice_and_never_used_again(store: Store):
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.reports()
