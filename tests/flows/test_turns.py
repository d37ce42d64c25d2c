"""Turns: each leaves one entry, whatever became of it; conversations belong to one person in one channel."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiops
from aiops import pipeline
from aiops.adapters.sqlite import StoreDB
from aiops.domain import Actor, Alert, Inputs, Intent, Task, from_ns
from aiops.errors import NotFound, Refused, SourceLate, StoreError, UsageError
from aiops.flows.turns import LONGEST, session_key, turn
from aiops.ops import Ops

ANN, BOB = Actor("slack:C1", "ann"), Actor("slack:C1", "bob")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreDB]:
    opened = StoreDB(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def ops(tmp_path: Path, demo_case: Path) -> Iterator[Ops]:
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "home"), flags={"model.url": ""}) as opened:
        yield opened


def turns(store: Any) -> list[dict[str, Any]]:
    assert store.audit_verify()[1] == ""
    return [dict(each["entry"]) for each in store.audit_entries() if each["kind"] == "turn"]


# ---------------------------------------------------------------- the entry


def test_a_turn_says_who_asked_what_and_how_it_ended(store: StoreDB) -> None:
    with turn(store, ANN, "ask", text="why?", session="s1") as notes:
        assert turns(store) == []
        notes.task, notes.route = Task("diagnose_it", Intent.DIAGNOSE), "rules"
    (entry,) = turns(store)
    assert abs(entry.pop("at_ms") / 1000 - time.time()) < 60
    assert 0 <= entry.pop("duration_ms") < 60_000
    assert entry.pop("task")["task_id"] == "diagnose_it"
    assert entry == {
        "action": "ask",
        "channel": "slack:C1",
        "actor": "ann",
        "session": "s1",
        "text": "why?",
        "route": "rules",
        "status": "success",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no such service"), "failed"),
        (KeyboardInterrupt(), "failed"),
        (RuntimeError("a defect"), "failed"),
        (SourceLate("samples", "prometheus", "no whole answer within 3 s"), "timeout"),
        (TimeoutError("too late"), "timeout"),
    ],
)
def test_a_turn_that_fails_is_audited_and_fails_all_the_same(store: StoreDB, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), turn(store, ANN, "run"):
        raise error
    (entry,) = turns(store)
    assert entry["status"] == status
    assert entry["error"].startswith(type(error).__name__)


def test_a_turn_that_cannot_be_audited_fails(store: StoreDB) -> None:
    store.close()
    with pytest.raises(StoreError, match="not answered"), turn(store, ANN, "run"):
        pass
    with pytest.raises(StoreError, match="not answered"), turn(store, ANN, "run"):
        raise UsageError("this, too")


def test_secrets_are_masked_in_every_part(store: StoreDB) -> None:
    secret = "Zx9kQ7vLm2Rt"
    alert = Alert("f1", "firing", {"alertname": "High", "x": secret}, {"a": f"token={secret}"}, from_ns(0))
    inputs = Inputs(alerts=(alert,), filters=(f"password={secret}",), query=f'up{{token="{secret}"}}')
    task = Task("diagnose_it", Intent.DIAGNOSE, inputs, question=f"is the password {secret}?")

    def ask() -> None:
        with turn(store, ANN, "ask", text=f"密码是{secret}, why?", session="s", task=task) as notes:
            notes.result = f"postgres://u:{secret}@db"
            raise UsageError(f"Authorization: Bearer {secret}")

    with pytest.raises(UsageError):
        ask()
    (entry,) = store.audit_entries()
    assert secret not in str(entry)
    assert entry["entry"]["task"]["inputs"]["alerts"] == [["High", "f1"]]  # type: ignore[index,call-overload]


def test_no_half_of_a_secret_stands_at_the_cut(store: StoreDB) -> None:
    text = "x" * (LONGEST - 8) + " password=Zx9kQ7vLm2Rt"
    with turn(store, ANN, "ask", text=text):
        pass
    (entry,) = turns(store)
    assert len(entry["text"]) <= LONGEST
    assert "Zx9" not in entry["text"]


@given(text=st.text(), session=st.text(max_size=70), name=st.text(max_size=20))
def test_any_words_are_audited(text: str, session: str, name: str) -> None:
    store = StoreDB(":memory:")
    with turn(store, Actor("http", name), "ask", text=text, session=session):
        pass
    assert len(turns(store)) == 1
    store.close()


# ---------------------------------------------------------------- the facade


def test_whatever_is_asked_leaves_an_entry(ops: Ops) -> None:
    plan = ops.by(ANN).plan("why is the gateway service slow?")
    report = ops.by(BOB).run(plan.task)
    cause = report.root_causes[0].node
    ops.by(ANN).feedback(report.id, cause)
    ops.withdraw(report.id)
    with pytest.raises(NotFound):
        ops.cut("nobody", "nothing")
    found = turns(ops.store)
    assert [(e["action"], e["channel"], e["status"]) for e in found] == [
        ("ask", "slack:C1", "success"),
        ("run", "slack:C1", "success"),
        ("feedback", "slack:C1", "success"),
        ("withdraw", "python", "success"),
        ("graph cut", "python", "failed"),
    ]
    assert (found[0]["actor"], found[1]["actor"]) == ("ann", "bob")
    assert (found[0]["route"], found[1]["report"], found[1]["result"]) == ("rules", report.id, str(report.verdict))
    assert found[0]["task"] == found[1]["task"]


@pytest.mark.parametrize(
    ("text", "route"),
    [("why is the gateway service slow?", "rules"), ("hello", "clarify"), ("rm -rf / on the gateway host", "reject")],
)
def test_the_route_of_words_is_told(ops: Ops, text: str, route: str) -> None:
    plan = ops.plan(text)
    (entry,) = turns(ops.store)
    assert (entry["route"], entry["task"]["intent"]) == (route, str(plan.task.intent))


def test_a_request_of_several_tasks_is_one_question_and_a_turn_for_each(ops: Ops) -> None:
    one, other = two(ops)
    plan = ops.plan(f"compare the latency of {one} and {other}, and if {other} is worse find out why")
    assert plan.agenda is not None
    result = ops.run_agenda(plan.agenda)
    asked, *ran = turns(ops.store)
    assert len(asked["tasks"]) == len(plan.agenda.steps) > 1
    assert asked["tasks"][0] == asked["task"]
    assert ran
    assert {each["action"] for each in ran} == {"run"}
    assert {each["trace"] for each in ran} == {result.trace_id}


def test_refused_and_unclear_tasks_are_audited(ops: Ops) -> None:
    for intent, error in ((Intent.REJECT, Refused), (Intent.CLARIFY, UsageError)):
        task = Task("no_such_thing", intent, question="why not")
        with pytest.raises(error):
            ops.run(task)
        with pytest.raises(error):
            ops.submit(task)
    assert [(e["action"], e["status"]) for e in turns(ops.store)] == [("run", "failed"), ("submit", "failed")] * 2


def test_a_task_in_the_queue_has_the_id_that_its_report_will_have(ops: Ops) -> None:
    task = ops.plan("why is the gateway service slow?").task
    job = ops.submit(task)
    assert ops.run(task).id == job.id == turns(ops.store)[1]["report"]


def test_the_answer_waits_for_its_entry(ops: Ops) -> None:
    class Full:
        """A store whose device has no room for an audit entry."""

        def __getattr__(self, name: str) -> Any:
            return getattr(ops.store, name)

        def audit(self, kind: str, entry: Mapping[str, object]) -> None:
            raise StoreError("no space is left on the device")

    full = dataclasses.replace(ops, store=Full())  # type: ignore[arg-type]
    for ask in (lambda: full.plan("why is the gateway slow?"), lambda: full.run(ops.task())):
        with pytest.raises(StoreError, match="no space is left"):
            ask()


# ---------------------------------------------------------------- sessions


def services(ops: Ops, actor: Actor, text: str, session: str = "thread") -> tuple[str, ...]:
    return ops.by(actor).plan(text, session=session).task.inputs.services


def two(ops: Ops) -> tuple[str, str]:
    names = pipeline.catalog(ops.sources, ops.rules, timeout=10).services
    return names[0], names[1]


def test_a_follow_up_edits_the_turn_before(ops: Ops) -> None:
    one, other = two(ops)
    first = ops.by(ANN).plan(f"show me the latency of {one} over the last 30 minutes", session="thread").task
    then = ops.by(ANN).plan(f"and {other}?", session="thread").task
    assert (first.inputs.services, then.inputs.services) == ((one,), (other,))
    assert (then.intent, then.inputs.metrics) == (first.intent, first.inputs.metrics)


@pytest.mark.parametrize("stranger", [BOB, Actor("slack:C2", "ann"), Actor("http", "ann"), Actor("slack:C1", "")])
def test_nobody_edits_what_another_asked(ops: Ops, stranger: Actor) -> None:
    one, other = two(ops)
    mine = ops.by(ANN).plan(f"show me the latency of {one} over the last 30 minutes", session="thread")
    theirs = ops.by(stranger).plan(f"and {other}?", session="thread")
    assert theirs.task.intent is not mine.task.intent or theirs.task.inputs.metrics != mine.task.inputs.metrics
    assert services(ops, ANN, "only the last hour") == (one,)


def test_people_in_one_channel_ask_at_the_same_time(ops: Ops) -> None:
    one, other = two(ops)
    people = [(Actor("slack:C1", f"user{n}"), (one, other)[n % 2]) for n in range(8)]
    start = threading.Barrier(8)

    def converse(actor: Actor, service: str) -> bool:
        start.wait()
        services(ops, actor, f"show me the latency of {service} over the last 30 minutes")
        return all(services(ops, actor, f"over the last {n} minutes") == (service,) for n in (5, 10, 15))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda person: converse(*person), people))
    assert len(turns(ops.store)) == 32


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_keys_of_sessions_are_never_taken_for_each_other(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    def key(channel: str, name: str, session: str) -> str:
        return session_key(Actor(channel, name), session)

    assert (key(*one) == key(*other)) == (one == other)


def test_a_refused_turn_leaves_the_session_as_it_was(ops: Ops) -> None:
    one, _ = two(ops)
    services(ops, ANN, f"show me the latency of {one} over the last 30 minutes")
    assert ops.by(ANN).plan("rm -rf / on every host", session="thread").task.intent is Intent.REJECT
    assert services(ops, ANN, "over the last hour") == (one,)


def test_a_session_ends(ops: Ops) -> None:
    one, _ = two(ops)
    ended = dataclasses.replace(ops, session_keep=timedelta(seconds=-1))
    ask = f"show me the latency of {one} over the last 30 minutes"
    services(ended, ANN, ask)
    assert services(ops, ANN, "over the last hour") != (one,)
    services(ops, ANN, ask)
    assert services(ops, ANN, "over the last hour") == (one,)


def test_ended_sessions_are_forgotten_when_another_is_kept(ops: Ops, tmp_path: Path) -> None:
    one, _ = two(ops)
    ended = dataclasses.replace(ops, session_keep=timedelta(seconds=-1))
    for n in range(5):
        services(ended, ANN, f"why is {one} slow?", session=f"old{n}")
    services(ops, ANN, f"why is {one} slow?", session="new")
    with sqlite3.connect(tmp_path / "home" / "store.db") as file:
        rows = file.execute("SELECT id FROM sessions").fetchall()
    file.close()
    assert rows == [(session_key(ANN, "new"),)]
