"""Alerts into episodes and diagnoses: one for a storm, joined by repetitions, none lost by a crash or a full queue."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops import resources, rules
from aiops.adapters.sqlite import GraphDB, QueueDB, StoreDB
from aiops.domain import Alert, Call, Inputs, Intent, Job, JobState, Mode, Notification, Symptom, Task
from aiops.errors import NotFound, Overloaded, StoreError
from aiops.flows import begin, fold
from aiops.flows.episodes import MOST_KEPT, OVER, Folding
from aiops.flows.fold import Policy, Receipt
from aiops.flows.mute import Quiet
from aiops.flows.near import Near
from aiops.schema import alerting, wire
from aiops.schema.alertmanager import fingerprint

ENTITIES = rules.load(resources.folder("rules")).entities
ALERTING = alerting.parse((resources.folder("rules") / "alerts.yaml").read_text(), "alerts.yaml")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
CHAIN = ("web", "cart", "stock", "db", "disk")  # each calls the next


def alert(name: str = "HighLatency", status: str = "firing", at: int = 0, group: str = "g", **labels: str) -> Alert:
    labels = {"alertname": name, **labels}
    return Alert(fingerprint(labels), status, labels, {}, NOON + timedelta(seconds=at), group_key=group)


def over(one: Alert) -> Alert:
    return replace(one, status="resolved")


def queue_db(path: Path | str, capacity: int = 1000) -> QueueDB:
    return QueueDB(path, wire.encode, lambda data: wire.decode(data, Task), capacity=capacity)


def graph_of(*calls: tuple[str, str]) -> GraphDB:
    graph = GraphDB(":memory:")
    graph.upsert([Call(a, b, "declared") for a, b in calls])
    return graph


@dataclass
class House:
    """What folds, with a clock of its own."""

    store: StoreDB
    queue: QueueDB
    graph: GraphDB = field(default_factory=lambda: graph_of(*itertools.pairwise(CHAIN)))
    terms: Folding = field(default_factory=Folding)
    alerting: alerting.Alerting = ALERTING
    quiet: Quiet = field(default_factory=Quiet)
    now: datetime = NOON
    counts: Counter[str] = field(default_factory=Counter)

    def policy(self) -> Policy:
        near = Near(self.graph, self.terms.hops)
        return Policy(ENTITIES, self.alerting, self.terms, near, lambda: self.quiet.at(self.now), self.count)

    def count(self, event: str, number: int) -> None:
        self.counts[event] += number

    def tell(self, *notifications: Notification) -> tuple[Receipt, ...]:
        return fold.accept(notifications, self.policy(), self.store, self.queue, self.now)

    def take(self, *alerts: Alert, receiver: str = "") -> Receipt:
        return self.tell(Notification(alerts, receiver))[0]

    def id_of(self, *alerts: Alert) -> str:
        """The one diagnosis that they lead to."""
        ((diagnosis, _),) = self.take(*alerts).diagnoses
        return diagnosis

    def after(self, passed: timedelta) -> tuple[Job, ...]:
        """What begins by then."""
        self.now += passed
        return begin.begin_due(self.policy(), self.store, self.queue, self.now)

    def settled(self) -> tuple[Job, ...]:
        return self.after(self.terms.debounce)

    def end(self) -> None:
        """All that is queued is done."""
        while job := self.queue.claim(60, "w"):
            self.queue.ack(job, JobState.DONE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store, queue = StoreDB(tmp_path / "store.db"), queue_db(tmp_path / "queue.db")
    yield House(store, queue)
    store.close()
    queue.close()


def figures(receipt: Receipt) -> tuple[int, int, int]:
    return receipt.accepted, receipt.duplicates, receipt.suppressed


# ---------------------------------------------------------------- the pure part


def test_the_symptom_is_the_earliest_alert_that_names_a_node() -> None:
    told = [alert(at=60, service="cart"), alert(at=30, pod="checkout-7d9f8b6c5d-x2x4z"), alert("Down", at=0)]
    assert fold.symptom(told, ENTITIES) == Symptom("checkout", None, NOON)
    assert fold.symptom([alert("Down", at=5)], ENTITIES) == Symptom(None, None, NOON + timedelta(seconds=5))
    assert fold.symptom([], ENTITIES) == Symptom()


@given(st.permutations([alert(at=a, service=s) for a, s in itertools.product((0, 0, 9), ("cart", "checkout"))]))
def test_order_does_not_matter_for_the_symptom(shuffled: list[Alert]) -> None:
    assert fold.symptom(shuffled, ENTITIES) == fold.symptom(sorted(shuffled, key=lambda a: a.key), ENTITIES)


def test_task_ids_are_legal_and_tell_inputs_apart() -> None:
    ids = {fold.task_id(intent, Inputs(services=(s,))) for intent in Intent for s in ("a", "b", "ü\n")}
    assert len(ids) == 3 * len(Intent)
    assert all(re.fullmatch(r"[a-z0-9_]{4,32}", one) for one in ids)


# ---------------------------------------------------------------- what is taken


def test_a_new_alert_is_diagnosed_after_the_debounce(house: House) -> None:
    receipt = house.take(one := alert(service="cart"))
    assert figures(receipt) == (1, 0, 0)
    ((diagnosis, fingerprints),) = receipt.diagnoses
    assert fingerprints == (one.fingerprint,)
    assert house.after(SECOND) == ()
    (job,) = house.after(SECOND)
    assert (job.id, job.episode_id, job.state) == (diagnosis, diagnosis, JobState.QUEUED)
    assert job.task.inputs.alerts == (one,)
    assert job.task.inputs.symptom == Symptom("cart", None, NOON)
    assert house.after(MINUTE) == ()


def test_a_repetition_is_a_duplicate_and_leads_to_the_same_diagnosis(house: House) -> None:
    alerts = [alert(service="cart"), alert("Errors", service="cart")]
    first, again = house.take(*alerts), house.take(*alerts)
    assert figures(first) == (2, 0, 0)
    assert figures(again) == (0, 2, 0)
    assert again.diagnoses == first.diagnoses
    assert len(house.settled()) == 1
    house.end()
    assert house.take(*alerts).diagnoses == first.diagnoses
    assert house.after(house.terms.cooldown) == ()


def test_both_of_a_pair_are_told_the_same(house: House) -> None:
    one = Notification((alert(service="cart"),))
    first, second = house.tell(one, one)
    assert (figures(first), figures(second)) == ((1, 0, 0), (0, 1, 0))
    assert first.diagnoses == second.diagnoses
    assert len(house.settled()) == 1


def test_twice_in_one_body_is_once(house: House) -> None:
    assert figures(house.take(alert(service="cart"), alert(service="cart"))) == (1, 1, 0)
    (job,) = house.settled()
    assert len(job.task.inputs.alerts) == 1


def test_a_resolution_starts_none_and_closes_the_episode(house: House) -> None:
    alerts = [alert(service="cart"), alert("Errors", service="cart")]
    diagnosis = house.id_of(*alerts)
    assert figures(receipt := house.take(over(alerts[0]))) == (0, 0, 1)
    assert [d for d, _ in receipt.diagnoses] == [diagnosis]
    assert house.store.episodes([diagnosis])[diagnosis].closed is None
    assert figures(house.take(over(alerts[0]), over(alerts[1]))) == (0, 1, 1)
    assert house.store.episodes([diagnosis])[diagnosis].closed == NOON
    assert house.counts["closed"] == 1


def test_what_is_over_within_the_debounce_still_gets_its_report(house: House) -> None:
    diagnosis = house.id_of(alert(service="cart"))
    house.take(over(alert(service="cart")))
    assert [job.id for job in house.settled()] == [diagnosis]


def test_fired_and_resolved_in_one_commit(house: House) -> None:
    one = alert(service="cart")
    fired, ended = house.tell(Notification((one,)), Notification((over(one),)))
    assert (figures(fired), figures(ended)) == ((1, 0, 0), (0, 0, 1))
    assert fired.diagnoses == ended.diagnoses
    assert house.store.episodes([fired.diagnoses[0][0]])[fired.diagnoses[0][0]].closed == NOON


@pytest.mark.parametrize("quiet", [alert("Watchdog"), alert("InfoInhibitor"), over(alert(service="cart"))])
def test_what_never_starts_a_diagnosis_can_still_be_looked_up(house: House, quiet: Alert) -> None:
    receipt, again = house.take(quiet), house.take(quiet)
    assert figures(receipt) == (0, 0, 1)
    assert figures(again) == (0, 1, 0)
    assert receipt.diagnoses == again.diagnoses
    ((diagnosis, _),) = receipt.diagnoses
    episode = house.store.episodes([diagnosis])[diagnosis]
    assert episode.mode is Mode.OFF
    assert episode.why
    assert house.after(MINUTE) == ()


def test_a_resolution_before_its_firing_changes_nothing(house: House) -> None:
    """One of a pair is late: there is one diagnosis, and no episode stays open."""
    one, other = alert(service="cart"), alert(service="web", at=1)
    early = house.take(over(one))
    assert figures(early) == (0, 0, 1)
    ((looked_up, _),) = early.diagnoses
    assert house.store.episodes([looked_up])[looked_up].why == OVER
    assert house.store.figures() == {"open": 0, "waiting": 0}
    late = house.id_of(one)
    assert house.store.figures() == {"open": 0, "waiting": 1}
    assert figures(house.take(one, over(one))) == (0, 2, 0)
    assert figures(house.take(other)) == (1, 0, 0)  # of the same group, and not over
    assert house.store.figures() == {"open": 1, "waiting": 1}
    assert [job.id for job in house.settled()] == [late]
    house.take(over(other))
    assert house.store.figures() == {"open": 0, "waiting": 0}
    assert house.after(house.terms.cooldown) == ()


def test_a_watchdog_opens_one_episode_for_all_time(house: House) -> None:
    ids = {house.id_of(alert("Watchdog", at=n)) for n in range(20)}
    assert len(ids) == 1


def test_too_much_that_waits_is_refused_and_nothing_is_lost(house: House) -> None:
    house.terms = replace(house.terms, waiting=2)
    for group in "ab":
        house.take(alert(service=group, group=group))
    with pytest.raises(Overloaded):
        house.take(alert(service="c", group="c"))
    assert figures(house.take(alert(service="a", group="a"))) == (0, 1, 0)
    assert len(house.settled()) == 2
    with pytest.raises(Overloaded):
        house.take(alert(service="c", group="c"))  # now they wait in the queue
    house.end()
    assert figures(house.take(alert(service="c", group="c"))) == (1, 0, 0)


def test_a_queue_that_is_away_takes_nothing(house: House) -> None:
    house.queue.close()
    with pytest.raises(StoreError):
        house.take(alert(service="cart"))
    assert house.store.figures() == {"open": 0, "waiting": 0}


def test_a_crash_between_putting_and_noting_starts_none_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = house.id_of(alert(service="cart"))
    put = house.queue.put

    def putting(jobs: list[Job]) -> tuple[Job, ...]:
        put(jobs)
        raise KeyboardInterrupt  # the power goes

    monkeypatch.setattr(house.queue, "put", putting)
    with pytest.raises((KeyboardInterrupt, StoreError)):
        house.settled()
    monkeypatch.undo()
    house.end()
    (job,) = house.after(SECOND)
    assert (job.id, job.state) == (diagnosis, JobState.DONE)
    assert house.queue.depth() == 0
    assert house.after(MINUTE) == ()


# ---------------------------------------------------------------- what belongs together


def test_a_storm_over_the_topology_is_one_diagnosis(house: House) -> None:
    ids = [house.id_of(alert(service=name, group=name)) for name in CHAIN[::-1]]
    (job,) = house.settled()
    assert {a.labels["service"] for a in job.task.inputs.alerts} == set(CHAIN)
    assert {house.store.episodes([i])[i].id for i in ids} == {job.id}


def test_what_is_far_apart_is_not_folded(house: House) -> None:
    house.take(alert(service="web", group="a"))
    house.take(alert(service="disk", group="b"))
    assert len(house.settled()) == 2


def test_what_stands_between_folds_both_sides(house: House) -> None:
    one, other = house.id_of(alert(service="web", group="a")), house.id_of(alert(service="disk", group="b"))
    assert one != other
    between = house.id_of(alert(service="stock", group="c"))
    (job,) = house.settled()
    assert {house.store.episodes([i])[i].id for i in (one, other, between)} == {job.id}
    assert len(job.task.inputs.alerts) == 3
    for each in ((alert(service="web", group="a")), alert(service="disk", group="b")):
        assert house.id_of(each) == job.id
    assert house.counts["merged"] == 1


def test_one_group_is_one_episode_however_far_apart(house: House) -> None:
    house.take(alert(service="web"), alert(service="disk"), alert("Down"))
    assert len(house.settled()) == 1


def test_no_group_folds_by_the_node_alone(house: House) -> None:
    house.take(alert(service="web", group=""))
    house.take(alert(service="disk", group=""))
    house.take(alert("Down", group=""))
    house.take(alert("Up", group=""))
    assert len(house.settled()) == 4


def test_later_than_the_window_is_another_episode(house: House) -> None:
    house.take(alert(service="web", group="a"))
    house.settled()
    house.now += house.terms.window + SECOND
    house.take(alert(service="cart", group="b"))
    assert len(house.settled()) == 1
    assert house.counts["opened"] == 2


def test_without_hops_only_the_same_node_is_folded(house: House) -> None:
    house.terms = replace(house.terms, hops=0)
    for number, name in enumerate(("web", "cart", "web")):
        house.take(alert(service=name, group=str(number)))
    assert len(house.settled()) == 2


def test_a_graph_that_is_away_holds_up_nothing(house: House) -> None:
    house.graph.close()
    house.take(alert(service="web", group="a"))
    house.take(alert(service="cart", group="b"))
    assert len(house.settled()) == 2


def components(nodes: list[str], groups: list[str], calls: set[tuple[str, str]]) -> set[frozenset[int]]:
    """What belongs together, the slow way: alerts of one group, one node, or nodes one call apart."""
    sets = [{i} for i in range(len(nodes))]
    for i, j in itertools.combinations(range(len(nodes)), 2):
        near = nodes[i] == nodes[j] or {(nodes[i], nodes[j]), (nodes[j], nodes[i])} & calls
        if groups[i] == groups[j] or near:
            a, b = (next(s for s in sets if k in s) for k in (i, j))
            if a is not b:
                sets.remove(b)
                a |= b
    return {frozenset(s) for s in sets}


@settings(max_examples=60, deadline=None)
@given(
    calls=st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=8),
    alerts=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("123456")), min_size=1, max_size=12),
    bodies=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_any_order_of_a_storm_folds_into_the_same_episodes(
    calls: set[tuple[str, str]], alerts: list[tuple[str, str]], bodies: int, seed: int
) -> None:
    calls = {(a, b) for a, b in calls if a != b}
    house = House(StoreDB(":memory:"), queue_db(":memory:"), graph_of(*calls), Folding(hops=1))
    made = [alert(service=n, group=g, number=str(i)) for i, (n, g) in enumerate(alerts)]
    order = list(range(len(made)))
    random.Random(seed).shuffle(order)
    for start in range(0, len(order), bodies):
        house.tell(*[Notification((made[i],)) for i in order[start : start + bodies]])
    begun = house.settled()
    found = {frozenset(int(a.labels["number"]) for a in job.task.inputs.alerts) for job in begun}
    assert found == components([n for n, _ in alerts], [g for _, g in alerts], calls)
    assert sum(house.store.episodes([job.id])[job.id].alerts for job in begun) == len(made)
    for i, one in enumerate(made):
        (job,) = [j for j in begun if str(i) in {a.labels["number"] for a in j.task.inputs.alerts}]
        assert house.id_of(one) == job.id


# ---------------------------------------------------------------- again, and later


def test_a_new_service_is_diagnosed_after_the_cool_down(house: House) -> None:
    first = house.id_of(alert(service="web"))
    house.settled()
    house.end()
    house.now += MINUTE
    assert house.id_of(alert(service="cart", at=60)) == first
    assert house.after(house.terms.cooldown - MINUTE - 2 * SECOND) == ()
    (job,) = house.after(2 * SECOND)
    assert job.id != first
    assert job.episode_id == first
    assert [a.labels["service"] for a in job.task.inputs.alerts] == ["web", "cart"]
    assert job.task.inputs.symptom == Symptom("cart", None, NOON + MINUTE)  # what came since
    assert house.store.episodes([job.id])[job.id].id == first
    assert house.counts["cooldown"] == 1


def test_after_the_cool_down_a_change_is_diagnosed_at_once(house: House) -> None:
    first = house.id_of(alert(service="web"))
    house.settled()
    house.end()
    house.now += house.terms.cooldown
    second = house.id_of(alert(service="cart"))
    assert second != first
    assert house.store.episodes([second])[second].id == first  # it can be looked up before it begins
    assert [job.id for job in house.settled()] == [second]


def test_the_same_service_again_is_no_change_and_worse_is(house: House) -> None:
    house.take(alert(service="web", severity="warning"))
    house.settled()
    house.end()
    house.now += house.terms.cooldown
    house.take(alert("Errors", service="web", severity="warning"), alert("Slow", service="web", severity="none"))
    assert house.after(MINUTE) == ()
    house.take(alert("Down", service="web", severity="critical"))
    assert len(house.settled()) == 1


def test_a_change_of_what_is_over_by_then_is_not_diagnosed(house: House) -> None:
    one, other = alert(service="web"), alert(service="cart")
    house.take(one)
    house.settled()
    house.end()
    house.take(other)
    house.take(over(one), over(other))
    assert house.after(house.terms.cooldown) == ()
    assert house.store.figures() == {"open": 0, "waiting": 0}


def test_what_flaps_comes_back_into_its_episode(house: House) -> None:
    first = house.id_of(alert(service="web"))
    house.settled()
    house.end()
    for n in range(1, 4):
        house.take(over(alert(service="web", at=(n - 1) * 60)))
        house.now += MINUTE
        assert house.id_of(alert(service="web", at=n * 60)) == first
    assert house.after(MINUTE) == ()
    assert house.store.episodes([first])[first].recurrences == 3


def test_what_comes_back_later_is_another_that_knows_how_often(house: House) -> None:
    ids = []
    for n in range(3):
        ids.append(house.id_of(one := alert(service="web", at=3600 * n)))
        house.settled()
        house.end()
        house.take(over(one))
        house.now += timedelta(hours=1)
    assert [house.store.episodes([i])[i].recurrences for i in ids] == [0, 1, 2]
    assert len(set(ids)) == 3


def test_an_episode_nobody_tells_of_expires(house: House) -> None:
    first = house.id_of(one := alert(service="web"))
    house.settled()
    for _ in range(3):  # repetitions keep it open
        house.now += house.terms.expire / 2
        house.take(one)
        house.store.fold(lambda ledger: ledger.expire(house.now - house.terms.expire), house.now)
        assert house.store.episodes([first])[first].closed is None
    house.now += house.terms.expire + MINUTE
    house.store.fold(lambda ledger: ledger.expire(house.now - house.terms.expire), house.now)
    assert house.store.episodes([first])[first].closed == house.now


def test_the_rate_holds_up_and_loses_none(house: House) -> None:
    house.terms = replace(house.terms, per_minute=3)
    for n in range(8):
        house.take(alert(service=f"s{n}", group=str(n)))
    begun = [len(house.settled()), len(house.after(SECOND)), len(house.after(MINUTE)), len(house.after(2 * MINUTE))]
    assert begun == [3, 0, 3, 2]
    assert house.counts["rate_cap"] >= 5
    assert house.counts["begun"] == 8


# ---------------------------------------------------------------- what is kept quiet


def quieted(match: str, minutes: int = 30) -> Quiet:
    start, end = NOON.isoformat(), (NOON + minutes * MINUTE).isoformat()
    text = f"maintenance: [{{name: move, match: '{match}', start: {start}, end: {end}}}]"
    return Quiet(alerting.parse(text, "alerts.yaml").maintenance)


def test_in_maintenance_none_begins_until_it_has_passed(house: House) -> None:
    house.quiet = quieted('service="web"')
    receipt = house.take(alert(service="web"))
    assert figures(receipt) == (0, 0, 1)
    ((diagnosis, _),) = receipt.diagnoses
    assert house.after(MINUTE) == ()
    assert "maintenance 'move' until 2026-01-31 12:30 UTC" in house.store.episodes([diagnosis])[diagnosis].why
    assert begin.listen_again(house.policy(), house.store, house.now) == 0
    house.now = NOON + 30 * MINUTE
    assert begin.listen_again(house.policy(), house.store, house.now) == 1
    assert [job.id for job in house.after(SECOND)] == [diagnosis]


def test_what_ends_within_its_maintenance_is_never_diagnosed(house: House) -> None:
    house.quiet = quieted('service="web"')
    house.take(alert(service="web"))
    house.take(over(alert(service="web")))
    house.now = NOON + 30 * MINUTE
    assert begin.listen_again(house.policy(), house.store, house.now) == 0


def test_what_is_not_quiet_beside_what_is_gets_a_diagnosis(house: House) -> None:
    house.quiet = quieted('service="db"')
    house.take(alert(service="db", group="a"))
    house.now += MINUTE
    house.take(alert(service="stock", group="b", at=60))
    (job,) = house.settled()
    assert {a.labels["service"] for a in job.task.inputs.alerts} == {"db", "stock"}
    assert job.task.inputs.symptom == Symptom("stock", None, NOON + MINUTE)


def test_silenced_within_the_debounce_none_begins(house: House) -> None:
    diagnosis = house.id_of(alert(service="web"))
    house.quiet = quieted('service="web"')
    assert house.settled() == ()
    assert house.store.episodes([diagnosis])[diagnosis].mode is Mode.MUTED


ROUTES = """
routes:
  - {receiver: quiet, mode: on_demand}
  - {match: 'severity=~"none|info"', mode: "off"}
"""


def test_on_demand_waits_for_somebody_to_ask(house: House) -> None:
    house.alerting = alerting.parse(ROUTES, "alerts.yaml")
    receipt = house.take(alert(service="web"), receiver="quiet")
    assert figures(receipt) == (0, 0, 1)
    ((diagnosis, _),) = receipt.diagnoses
    assert house.after(MINUTE) == ()
    job = begin.start(diagnosis, house.policy(), house.store, house.queue, house.now)
    assert job.id == diagnosis
    assert begin.start(diagnosis, house.policy(), house.store, house.queue, house.now) == job  # it joins
    house.end()
    assert begin.start(diagnosis, house.policy(), house.store, house.queue, house.now).id != diagnosis
    with pytest.raises(NotFound):
        begin.start("none", house.policy(), house.store, house.queue, house.now)


def test_off_never_begins(house: House) -> None:
    house.alerting = alerting.parse(ROUTES, "alerts.yaml")
    assert figures(house.take(alert(service="web", severity="info"))) == (0, 0, 1)
    assert house.after(MINUTE) == ()
    assert figures(house.take(alert(service="web", severity="page"))) == (1, 0, 0)
    assert len(house.settled()) == 1


# ---------------------------------------------------------------- a storm


def test_a_storm_is_counted_exactly_and_kept_in_bounds(house: House) -> None:
    storm = [alert(service=f"s{i % 500}", instance=f"i{i}") for i in range(3000)]
    random.Random(5).shuffle(storm)
    taken = [figures(house.take(*storm[i : i + 200])) for i in range(0, 3000, 200)]
    assert taken == [(200, 0, 0)] * 15
    assert figures(house.take(*storm)) == (0, 3000, 0)
    (job,) = house.settled()
    assert len(job.task.inputs.alerts) <= MOST_KEPT
    assert house.store.episodes([job.id])[job.id].alerts == 3000


def test_any_number_of_receipts_add_up(house: House) -> None:
    draw = random.Random(9)
    alerts = [alert(service=f"s{i % 7}", group=f"g{i % 5}", instance=str(i)) for i in range(60)]
    seen: set[str] = set()
    for _ in range(40):
        some = draw.choices(alerts, k=9)
        receipt = house.take(*some)
        new = {a.fingerprint for a in some} - seen
        assert figures(receipt) == (len(new), 9 - len(new), 0)
        assert {f for _, prints in receipt.diagnoses for f in prints} == {a.fingerprint for a in some}
        seen |= new
