"""Repairs: whatever people, files and clocks do, nothing runs that the right people did not approve as it is, and nothing twice.

The property drives the real flow on the real store. What stands outside is of the test's own: clocks that can be set, and an
executor that counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiops.adapters.sqlite import GraphDB, StoreDB
from aiops.domain import (
    Act,
    Actor,
    Call,
    CausalPath,
    Evidence,
    Instant,
    Intent,
    Outcome,
    Remediation,
    Repair,
    RepairState,
    Report,
    RootCause,
    Runbook,
    RunStatus,
    Samples,
    Symptom,
    Task,
    TimeRange,
    Usage,
    Verdict,
)
from aiops.errors import ConfigError, NotFound, Refused
from aiops.flows.repair import HOUSE, Governance, Repairs, Terms, Workshop, machine
from aiops.schema import runbook, wire

S = RepairState
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = """
title: Do it again
owner: tests
mode: {mode}
match: {{faults: [cpu]}}
parameters:
  node: {{kind: name, from: node}}
  times: {{kind: integer, least: 1, most: 9, default: '1'}}
act:
  action: {{verb: http.call, with: {{target: it, method: POST, path: '/{{node}}/{{times}}'}}}}
undo: {undo}
before: [{{query: ready, holds: '== 1'}}]
effect: {{query: effect, holds: '== 1'}}
blast: {{targets: 9}}
cool_down: {cool_down}
approvers: {approvers}
tests: [{{given: {{fault: cpu, node: cart}}, words: [http.call]}}]
"""
UNDO = "{action: {verb: http.call, with: {target: it, method: POST, path: '/{node}/back'}}}"
NOTHING = "{nothing: there is nothing to take back}"


def book(
    name: str = "again", *, mode: str = "auto", undo: str = UNDO, approvers: int = 1, cool_down: str = "1s"
) -> Runbook:
    text = BOOK.format(mode=mode, undo=undo, approvers=approvers, cool_down=cool_down)
    return runbook.load(text, name, lambda _: b"")


def report(node: str = "cart", name: str = "r1", proposed: str = "again", said: str = "it is slow") -> Report:
    cause = RootCause(
        1, node, "cpu", 0.9, CausalPath((node,), (), (None,), 0.0), (Evidence("metric", said),), fault="cpu"
    )
    remediation = Remediation(proposed, "", node, (), {}, "", "", mode="auto")
    task = Task("diagnose_1", Intent.DIAGNOSE)
    symptom = Symptom("front", "latency", START)
    return Report(name, Verdict.FOUND, ("", "", ""), task, symptom, (cause,), (), (), (), remediation, (), (), {}, {})


class Metrics:
    """A live source that says what it is told to."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {"ready": 1.0, "effect": 1.0}

    def window(self) -> TimeRange | None:
        return None

    def samples(self, query: str, window: TimeRange, timeout: float, step: timedelta | None = None) -> Samples:
        values = [self.values[query]] if query in self.values else []
        starts = np.arange(len(values) + 1, dtype=np.int64)
        times = np.zeros(len(values), np.int64)
        return Samples([{}] * len(values), [b""] * len(values), starts, times, np.array(values))


class Place:
    """A machine whose clocks can be set."""

    def __init__(self) -> None:
        self.calendar, self.ticks, self.boot = START, 1_000_000, "first"
        self.why, self.free = "", 1 << 40
        self.taken: set[str] = set()

    def now(self) -> Instant:
        return Instant(self.calendar, self.boot, self.ticks)

    def passes(self, seconds: float) -> None:
        self.calendar += timedelta(seconds=seconds)
        self.ticks += round(seconds * 1000)

    def stopped(self) -> str:
        return self.why

    def stop(self, why: str) -> None:
        self.why = why

    def resume(self) -> bool:
        was, self.why = self.why, ""
        return bool(was)

    @contextmanager
    def held(self, repair_id: str) -> Iterator[bool]:
        mine = repair_id not in self.taken
        self.taken.add(repair_id)
        try:
            yield mine
        finally:
            if mine:
                self.taken.discard(repair_id)

    def room(self) -> int:
        return self.free


class Counter:
    """An executor that does nothing, and knows how often."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.answers: Callable[[Act], Outcome] = lambda _: Outcome(RunStatus.OK, 200, "200 done", Usage(1.0))

    def run(self, act: Act, key: str, timeout: float) -> Outcome:
        self.done.append((key, act.arguments["path"]))
        return self.answers(act)

    def times(self, repair: Repair, what: str = "act") -> int:
        return sum(key == f"repair/{repair.id}/{repair.hash}/{what}" for key, _ in self.done)


class House:
    """Everything that repairs need, with a hand on all of it."""

    def __init__(self, *books: Runbook, **terms: Any) -> None:
        self.store, self.graph = StoreDB(":memory:"), GraphDB(":memory:")
        self.metrics, self.place, self.counter = Metrics(), Place(), Counter()
        self.books, self.targets, self.told = books or (book(),), "targets", []  # type: ignore[var-annotated]
        self.terms = Terms(**{"mode": "auto", "per_hour": 1000} | terms)
        self.keep(report())

    def keep(self, made: Report) -> None:
        self.store.save(made.id, wire.encode(made), b"", {})

    def of(self, name: str, channel: str = "http") -> Repairs:
        actor = HOUSE if name == HOUSE.name and channel == "house" else Actor(channel, name)
        governance = Governance(self.workshop, self.place, self.terms)
        return Repairs(self.store, self.metrics, self.graph, governance, actor, self.told.append)  # type: ignore[arg-type]

    def workshop(self) -> Workshop:
        return Workshop(self.books, self.targets, self.counter, None)  # type: ignore[arg-type]

    def entries(self, *actions: str) -> list[dict[str, Any]]:
        found = [dict(told["entry"]) for told in self.store.audit_entries() if told["kind"] == "repair"]  # type: ignore[call-overload]
        return [one for one in found if one["action"] in actions] if actions else found


# ---------------------------------------------------------------- the property

PEOPLE = ("alice", "bob", "carol", "Alice", "local", "")
ANYBODY = st.sampled_from((*PEOPLE, HOUSE.name))
SELDOM = st.sampled_from((False, False, False, False, True))
MEANWHILE = st.sampled_from(("", "", "", "edit", "clock", "boot"))
SECONDS = st.sampled_from([2.0, 2.0, 60.0, 300.0, 899.0, 901.0, 4000.0])


@dataclasses.dataclass
class Seen:
    """What the model remembers of a repair: in its own time, which nobody can set."""

    requester: str
    world: tuple[int, ...]
    planned_at: float
    approvals: list[tuple[str, float, int]] = dataclasses.field(default_factory=list)


class Governed(RuleBasedStateMachine):
    """People, files and clocks in any order. The model knows nothing of the code's states: it judges what was done."""

    approvers, mode = 1, "suggest"

    def __init__(self) -> None:
        super().__init__()
        self.house = House(book(mode="auto", approvers=self.approvers), mode=self.mode)
        self.world = [0, 0, 0]  # versions of runbook, targets, report
        self.time, self.boot = 0.0, 0
        self.known: dict[str, Seen] = {}
        self.last = ""

    @rule(who=ANYBODY, times=st.sampled_from(["1", "2"]))
    def plan(self, who: str, times: str) -> None:
        made = self.house.of(who, "house" if who == HOUSE.name else "http").plan("r1", parameters={"times": times})
        if made.id not in self.known:
            self.known[made.id] = Seen(who, tuple(self.world), self.time)
        self.last = made.id

    @precondition(lambda self: self.known)
    @rule(who=ANYBODY, elsewhere=SELDOM, other=SELDOM)
    def approve(self, who: str, elsewhere: bool, other: bool) -> None:
        repair_id = self._one(elsewhere)
        before = len(self.house.of(who).get(repair_id).approvals)
        with self._maybe():
            after = self.house.of(who).approve(repair_id, "f" * 64 if other else "")
            assert not other, "an approval of another plan counted"
            agreed = [one.actor.name.casefold() for one in after.approvals]
            assert len(set(agreed)) == len(agreed), "somebody approved twice"
            if len(after.approvals) > before:
                self.known[repair_id].approvals.append((who, self.time, self.boot))

    @precondition(lambda self: self.known)
    @rule(who=ANYBODY, elsewhere=SELDOM)
    def reject(self, who: str, elsewhere: bool) -> None:
        with self._maybe():
            self.house.of(who).reject(self._one(elsewhere))

    @precondition(lambda self: self.known)
    @rule(who=ANYBODY, elsewhere=SELDOM, dies=SELDOM)
    def run(self, who: str, elsewhere: bool, dies: bool) -> None:
        repair_id, counted = self._one(elsewhere), len(self.house.counter.done)
        if dies:
            self.house.counter.answers = lambda _: 1 / 0  # type: ignore[arg-type,return-value]
        with self._maybe():
            if self.mode == "auto":
                self.house.of(HOUSE.name, "house").permit(repair_id)
        with self._maybe():
            self.house.of(who).run(repair_id)
        self.house.counter.answers = lambda _: Outcome(RunStatus.OK)
        if any(key.endswith("/act") for key, _ in self.house.counter.done[counted:]):
            self._judge(repair_id)

    @rule(planner=ANYBODY, first=ANYBODY, second=ANYBODY, runner=ANYBODY, later=SECONDS, meanwhile=MEANWHILE)
    def straight_through(
        self, planner: str, first: str, second: str, runner: str, later: float, meanwhile: str
    ) -> None:
        self.plan(planner, "3")
        self.approve(first, elsewhere=False, other=False)
        self.time_passes(later)
        self.approve(second, elsewhere=False, other=False)
        match meanwhile:
            case "edit":
                self.edit(len(self.known) % 3)
            case "clock":
                self.clock_is_set(-1)
            case "boot":
                self.machine_starts_anew()
        self.run(runner, elsewhere=False, dies=False)

    @precondition(lambda self: self.known)
    @rule(who=ANYBODY, elsewhere=SELDOM)
    def undo(self, who: str, elsewhere: bool) -> None:
        with self._maybe():
            self.house.of(who).undo(self._one(elsewhere))

    @rule(what=st.integers(0, 2))
    def edit(self, what: int) -> None:
        self.world[what] = 1 - self.world[what]
        edited = book(mode="auto", approvers=self.approvers, undo=NOTHING if self.world[0] else UNDO)
        self.house.books = (edited,)
        self.house.targets = f"targets {self.world[1]}"
        self.house.keep(report(said=f"version {self.world[2]}" if self.world[2] else "it is slow"))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.time += seconds
        self.house.place.passes(seconds)

    @rule(hours=st.sampled_from([-48, -1, 1, 48]))
    def clock_is_set(self, hours: int) -> None:
        self.house.place.calendar += timedelta(hours=hours)

    @rule()
    def machine_starts_anew(self) -> None:
        self.boot += 1
        self.house.place.boot = f"boot {self.boot}"  # and it has run for as long as the one before: the worst case
        self.house.of(HOUSE.name, "house").recover()

    @invariant()
    def nothing_ran_twice(self) -> None:
        keys = [key for key, _ in self.house.counter.done]
        assert len(keys) == len(set(keys))

    @invariant()
    def moves_are_those_of_the_machine(self) -> None:
        for one in self.house.store.repairs(1000):
            states = [step.state for step in one.steps]
            assert states[0] is S.PLANNED
            assert all(b in machine.MOVES[a] for a, b in itertools.pairwise(states))

    def teardown(self) -> None:
        count, wrong = self.house.store.audit_verify()
        assert (wrong, count > 0 or not self.known) == ("", True)
        starts = [one["repair"] for one in self.house.entries("start")]
        assert sorted(starts) == sorted(
            {key.split("/")[1] for key, _ in self.house.counter.done if key.endswith("/act")}
        )
        tried = sum(one.tried for one in self.house.store.experience())
        assert tried <= len(starts)
        self.house.store.close()
        self.house.graph.close()

    def _judge(self, repair_id: str) -> None:
        """What was done must have been allowed, by what the model saw."""
        seen = self.known[repair_id]
        assert tuple(self.world) == seen.world, "something was edited between plan and run"
        names = [name.casefold() for name, _, _ in seen.approvals]
        if self.mode != "auto" or names:
            assert len(names) >= self.approvers
            assert len(set(names)) == len(names)
            assert len(names) == 1 or not {"", "local"} & set(names)
            assert seen.requester.casefold() not in names
            assert not ({"", "local"} & {*names, seen.requester.casefold()}) or seen.requester == HOUSE.name
            assert HOUSE.name not in names
        for _, at, boot in seen.approvals:
            assert self.time - at < machine.APPROVAL_S, "an approval lived too long"
            assert boot == self.boot, "an approval outlived its machine"

    def _one(self, elsewhere: bool) -> str:
        """The repair that was planned last, or the first of all."""
        return min(self.known) if elsewhere else self.last

    @contextmanager
    def _maybe(self) -> Iterator[None]:
        try:
            yield
        except (Refused, NotFound):
            return


class GovernedByTwo(Governed):
    approvers = 2


class GovernedByItself(Governed):
    mode = "auto"


for _one in (Governed, GovernedByTwo, GovernedByItself):
    _one.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestGoverned = Governed.TestCase
TestGovernedByTwo = GovernedByTwo.TestCase
TestGovernedByItself = GovernedByItself.TestCase


# ---------------------------------------------------------------- what the property does not reach


@given(
    ran=st.integers(-(10**7), 10**7),
    calendar=st.integers(-(10**7), 10**7),
    life=st.sampled_from([machine.APPROVAL_S, machine.PLAN_S]),
    anew=st.booleans(),
)
@example(ran=4_000_000, calendar=400_000, life=machine.APPROVAL_S, anew=False)
@example(ran=400_000, calendar=400_000, life=machine.APPROVAL_S, anew=True)
def test_no_setting_of_a_clock_makes_a_life_longer(ran: int, calendar: int, life: float, anew: bool) -> None:
    then = Instant(START, "first", 0)
    now = Instant(START + timedelta(milliseconds=calendar), "second" if anew else "first", ran)
    if machine.fresh(then, now, life):
        assert not anew
        assert 0 <= ran < life * 1000
        assert -machine.SLACK_S * 1000 <= calendar < life * 1000
    elif not anew and 0 <= ran < life * 1000 and 0 <= calendar < life * 1000:
        raise AssertionError("an honest clock must do")


def approved(house: House, name: str = "r1") -> Repair:
    made = house.of("alice").plan(name)
    return house.of("bob").approve(made.id)


def test_an_act_that_fails_is_taken_back_and_one_without_undo_has_failed() -> None:
    for undo, ending in ((UNDO, S.UNDONE), (NOTHING, S.FAILED)):
        house = House(book(undo=undo))
        house.counter.answers = lambda act: Outcome(
            RunStatus.OK if "back" in act.arguments["path"] else RunStatus.FAILED
        )
        made = approved(house)
        assert house.of("bob").run(made.id).state is ending
        assert [one.id for one in house.told] == [made.id]
        assert [(one.worked, one.tried) for one in house.store.experience()] == [(0, 1)]


def test_what_was_neither_seen_nor_can_be_undone_calls_somebody() -> None:
    house = House(book(undo=NOTHING))
    house.metrics.values["effect"] = 0.0
    made = approved(house)
    ended = house.of("bob").run(made.id)
    assert (ended.state, ended.why) == (S.ESCALATED, "not within 0 s: effect is 0, not == 1")
    assert house.told == [ended]


def test_what_ends_unknown_stays_so_until_a_person_takes_it_back() -> None:
    house = House()
    house.counter.answers = lambda _: Outcome(RunStatus.UNKNOWN, why="no answer")
    made = approved(house)
    assert house.of("bob").run(made.id).state is S.UNKNOWN
    assert house.store.experience() == ()
    house.counter.answers = lambda _: Outcome(RunStatus.OK)
    assert house.of("carol").undo(made.id, "to be sure").state is S.UNDONE
    assert house.counter.times(made) == house.counter.times(made, "undo") == 1


def test_an_undo_that_fails_is_not_tried_again() -> None:
    house = House()
    house.counter.answers = lambda act: Outcome(RunStatus.FAILED if "back" in act.arguments["path"] else RunStatus.OK)
    house.metrics.values["effect"] = 0.0
    made = approved(house)
    assert house.of("bob").run(made.id).state is S.ESCALATED
    with pytest.raises(Refused, match="not begun twice"):
        house.of("bob").undo(made.id)
    assert house.counter.times(made, "undo") == 1


def test_what_the_sandbox_or_an_executor_refuses_was_never_begun() -> None:
    for status in (RunStatus.REFUSED, RunStatus.REJECTED):
        house = House()
        house.counter.answers = lambda _, s=status: Outcome(s, why="no room")  # type: ignore[misc]
        assert house.of("bob").run(approved(house).id).state is S.REFUSED
        assert (house.told, house.store.experience()) == ([], ())


def test_stopped_is_stopped_also_for_what_would_be_taken_back() -> None:
    house = House()

    def stopping(act: Act) -> Outcome:
        house.of("admin").stop("enough")
        return Outcome(RunStatus.FAILED, why="cancelled")

    house.counter.answers = stopping
    made = approved(house)
    assert house.of("bob").run(made.id).state is S.FAILED
    assert house.counter.times(made, "undo") == 0
    house.of("admin").resume()
    house.counter.answers = lambda _: Outcome(RunStatus.OK)
    assert house.of("bob").undo(made.id).state is S.UNDONE


def test_a_condition_that_is_not_true_is_a_brake() -> None:
    def broken(_: Mapping[str, Any]) -> bool:
        raise Refused("no such field")

    for condition, why in ((lambda _: False, "says no"), (broken, "can't be asked"), (bool, "")):
        house = House(condition=condition)
        made = approved(house)
        with contextlib.nullcontext() if not why else pytest.raises(Refused, match=why):
            assert house.of("bob").run(made.id).state is S.SUCCEEDED
    seen: list[Mapping[str, Any]] = []
    house = House(condition=lambda told: seen.append(told) or True)
    house.of("bob").run(approved(house).id)
    assert (seen[0]["requester"], seen[0]["approvers"], seen[0]["plan"]["fault"]) == ("alice", ["bob"], "cpu")


def test_expressions_of_cel_fail_closed() -> None:
    pytest.importorskip("cel")
    from aiops.adapters.cel import Expression

    told = {"plan": {"fault": "cpu"}, "approvers": ["bob"], "mode": "suggest", "requester": "alice"}
    assert Expression("repair.plan.fault == 'cpu' && size(repair.approvers) == 1", "x")(told) is True
    assert Expression("repair.plan.fault == 'disk'", "x")(told) is False
    for text in ("repair.plan.nope == 1", "1 / 0 == 1", "'yes'", "nobody == 1", "repair.plan"):
        with pytest.raises(Refused):
            Expression(text, "x")(told)
    with pytest.raises(ConfigError):
        Expression("((", "x")


def test_reach_counts_targets_and_their_share_of_their_kind() -> None:
    def at(node: str, name: str) -> None:
        house.keep(report(node, name))

    house = House(dataclasses.replace(book(cool_down="1h"), most_targets=0, most_percent=50))
    at("cart", "r1")
    at("search", "r2")
    house.graph.upsert([Call("front", "cart", "declared"), Call("front", "search", "declared"), Call("cart", "host-1", "declared", "RUNS_ON")])  # fmt: skip
    assert house.of("bob").run(approved(house, "r1").id).state is S.SUCCEEDED  # 1 of 3: the host is of another kind
    with pytest.raises(Refused, match="2 of 3 nodes of its kind"):
        house.of("bob").run(approved(house, "r2").id)
    house.place.passes(3601)
    assert house.of("bob").run(approved(house, "r2").id).state is S.SUCCEEDED
    with pytest.raises(Refused, match="left alone"):
        house.of("bob").run(approved(house, "r2").id)
    house.place.calendar -= timedelta(hours=2)  # which does not make the cool-down shorter, nor does setting it on
    with pytest.raises(Refused, match="left alone"):
        house.of("bob").run(approved(house, "r2").id)
    house.place.calendar += timedelta(hours=48)
    with pytest.raises(Refused, match="left alone"):
        house.of("bob").run(approved(house, "r2").id)


def test_what_is_printed_is_kept_without_secrets_and_controls_and_checked() -> None:
    house = House()
    said = "token=abcdefgh12345678 \x1b[2J\u202e\r ok\n" + "x" * (9 << 17)
    artefact = {"result.txt": b"\xff\x00 password: hunter2hunter2"}
    house.counter.answers = lambda _: Outcome(RunStatus.OK, 200, said, Usage(5.0, 2.0, 1 << 20, 3), "", artefact)
    made = approved(house)
    ended = house.of("bob").run(made.id)
    number = next(i for i, one in enumerate(ended.steps) if one.output)
    text = house.of("bob").output(made.id, number)
    assert len(text) < (1 << 20) + 200
    assert text.startswith("token=***")
    assert not set(text) & set("\x1b\u202e\r\x00")
    assert "hunter2" not in text
    (entry,) = house.entries("end")
    assert (entry["output"], entry["usage"]["memory_peak"]) == (ended.steps[number].output, 1 << 20)
    house.store._db.write(lambda connection: connection.execute("UPDATE repair_outputs SET text = 'nothing happened'"))
    with pytest.raises(NotFound):
        house.of("bob").output(made.id, number)


def test_too_many_a_storm_and_off_are_brakes() -> None:
    for terms, why in (
        ({"per_hour": 0}, "within the hour"),
        ({"storm": 0}, "in a storm"),
        ({"free": 1 << 60}, "are free"),
    ):
        house = House(**terms)
        made = approved(house)
        with pytest.raises(Refused, match=why):
            house.of("bob").run(made.id)
        assert house.of("bob").get(made.id).state is S.REFUSED
    house = House()
    made = approved(house)
    house.terms = Terms(mode="off")
    with pytest.raises(Refused, match="repairs are off"):
        house.of("bob").run(made.id)
    with pytest.raises(Refused, match="repairs are off"):
        house.of("bob").plan("r1")


def test_what_nobody_wanted_in_time_is_written_down_as_expired() -> None:
    house = House()
    waiting, made = house.of("alice").plan("r1", parameters={"times": "2"}), approved(house)
    house.place.passes(machine.APPROVAL_S)
    assert house.of("bob").list(state=S.EXPIRED) == (house.of("bob").get(made.id),)
    assert house.store.repair_counts()[S.EXPIRED] == 0
    house.of("bob").recover()
    assert house.store.repair_counts()[S.EXPIRED] == 1
    house.place.passes(machine.PLAN_S)
    house.of("bob").recover()
    assert house.store.repair_counts()[S.EXPIRED] == 2
    assert [one["repair"] for one in house.entries("expire")] == [made.id, waiting.id]
    with pytest.raises(Refused):
        house.of("bob").approve(waiting.id)


def test_two_at_once_begin_one_after_the_other() -> None:
    """The brakes look at other repairs in the transaction in which one begins: of many at once on one target, one begins."""
    house = House(book(cool_down="1h"))
    ids = []
    for times in range(1, 9):
        made = house.of("alice").plan("r1", parameters={"times": str(times)})
        ids.append(house.of("bob").approve(made.id).id)

    def run(repair_id: str) -> bool:
        try:
            return house.of("bob").run(repair_id).state is S.SUCCEEDED
        except Refused:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, ids)) == 1
    assert len(house.counter.done) == 1


def test_the_drawing_is_the_machine() -> None:
    page = (Path(__file__).parents[2] / "docs" / "repairs.md").read_text("utf-8")
    drawn = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", page, re.DOTALL)
    assert drawn
    arrows = set(re.findall(r"^\s+(\w+) --> (\w+)", drawn[1], re.MULTILINE))
    assert arrows == {(str(a), str(b)) for a, ends in machine.MOVES.items() for b in ends}
