"""Alerts into jobs: one per group and node, joined by a repetition, none lost by a crash or a full queue."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops import resources, rules
from aiops.adapters.sqlite import QueueDB, StoreDB
from aiops.domain import Alert, Inputs, Intent, Job, JobState, Notification, Symptom, Task
from aiops.errors import Overloaded
from aiops.flows import fold
from aiops.flows.fold import Receipt
from aiops.schema import wire
from aiops.schema.alertmanager import fingerprint

ENTITIES = rules.load(resources.folder("rules")).entities
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
Take = Callable[..., Receipt]


def alert(name: str = "HighLatency", status: str = "firing", at: int = 0, group: str = "g", **labels: str) -> Alert:
    labels = {"alertname": name, **labels}
    return Alert(fingerprint(labels), status, labels, {}, NOON + timedelta(seconds=at), group_key=group)


def queue_db(path: Path, capacity: int = 1000) -> QueueDB:
    return QueueDB(path, wire.encode, lambda data: wire.decode(data, Task), capacity=capacity)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreDB]:
    opened = StoreDB(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[QueueDB]:
    opened = queue_db(tmp_path / "queue.db")
    yield opened
    opened.close()


@pytest.fixture
def take(store: StoreDB, queue: QueueDB) -> Take:
    return lambda *alerts: fold.accept([Notification(alerts)], ENTITIES, store, queue)[0]


def figures(receipt: Receipt) -> tuple[int, int, int]:
    return receipt.accepted, receipt.duplicates, receipt.suppressed


# ---------------------------------------------------------------- the pure part


def test_the_symptom_is_the_earliest_alert_that_names_a_node() -> None:
    told = [alert(at=60, service="cart"), alert(at=30, pod="checkout-7d9f8b6c5d-x2x4z"), alert("Down", at=0)]
    assert fold.symptom(told, ENTITIES) == Symptom("checkout", None, NOON)
    assert fold.symptom([alert("Down", at=5)], ENTITIES) == Symptom(None, None, NOON + timedelta(seconds=5))
    assert fold.symptom([], ENTITIES) == Symptom()


@given(st.permutations([alert(at=a, service=s) for a, s in itertools.product((0, 0, 9), ("cart", "checkout"))]))
def test_order_does_not_matter(shuffled: list[Alert]) -> None:
    assert fold.symptom(shuffled, ENTITIES) == fold.symptom(sorted(shuffled, key=lambda a: a.key), ENTITIES)
    ids = {job.id for job in fold.jobs(shuffled, ENTITIES)}
    assert ids == {job.id for job in fold.jobs(shuffled[::-1], ENTITIES)}


def test_task_ids_are_legal_and_tell_inputs_apart() -> None:
    ids = {fold.task_id(intent, Inputs(services=(s,))) for intent in Intent for s in ("a", "b", "ü\n")}
    assert len(ids) == 3 * len(Intent)
    assert all(re.fullmatch(r"[a-z0-9_]{4,32}", one) for one in ids)


def test_one_job_for_each_group_and_node() -> None:
    made = fold.jobs(
        [
            alert(service="cart"),
            alert("Errors", service="cart"),
            alert(service="checkout"),
            alert(group="h", service="cart"),
        ],
        ENTITIES,
    )
    assert [len(job.task.inputs.alerts) for job in made] == [2, 1, 1]
    assert [job.task.inputs.symptom.service for job in made if job.task.inputs.symptom] == ["cart", "checkout", "cart"]
    assert len({job.id for job in made}) == 3


# ---------------------------------------------------------------- taking a notification


def test_a_new_alert_starts_a_diagnosis(take: Take, queue: QueueDB) -> None:
    receipt = take(alert(service="cart"))
    assert figures(receipt) == (1, 0, 0)
    ((diagnosis, fingerprints),) = receipt.diagnoses
    job = queue.get(diagnosis)
    assert job
    assert job.state is JobState.QUEUED
    assert fingerprints == (alert(service="cart").fingerprint,)


def test_a_repetition_is_a_duplicate_and_leads_to_the_same_diagnosis(take: Take, queue: QueueDB) -> None:
    alerts = [alert(service="cart"), alert("Errors", service="cart")]
    first, again = take(*alerts), take(*alerts)
    assert figures(first) == (2, 0, 0)
    assert figures(again) == (0, 2, 0)
    assert again.diagnoses == first.diagnoses
    assert queue.depth() == 1


def test_a_repetition_after_the_diagnosis_has_ended_starts_none(take: Take, queue: QueueDB) -> None:
    first = take(alert(service="cart"))
    job = queue.claim(60, "w")
    assert job
    queue.ack(job, JobState.DONE)
    assert take(alert(service="cart")).diagnoses == first.diagnoses
    assert queue.depth() == 0


def test_a_new_alert_beside_known_ones_starts_its_own(take: Take, queue: QueueDB) -> None:
    first = take(alert(service="cart"))
    second = take(alert(service="cart"), alert("Errors", service="cart"))
    assert figures(second) == (1, 1, 0)
    assert queue.depth() == 2
    # The new one comes first: that is where Location leads.
    assert [d for d, _ in second.diagnoses][1:] == [d for d, _ in first.diagnoses]


def test_twice_in_one_body_is_once(take: Take, queue: QueueDB) -> None:
    assert figures(take(alert(service="cart"), alert(service="cart"))) == (1, 1, 0)
    assert queue.depth() == 1


def test_a_resolved_alert_starts_none_and_leads_to_its_diagnosis(take: Take, queue: QueueDB) -> None:
    first = take(alert(service="cart"), alert("Errors", service="cart"))
    resolved = take(alert(status="resolved", service="cart"))
    assert figures(resolved) == (0, 0, 1)
    assert [d for d, _ in resolved.diagnoses] == [d for d, _ in first.diagnoses]
    assert queue.depth() == 1


@pytest.mark.parametrize("quiet", [alert("Watchdog"), alert("InfoInhibitor"), alert(status="resolved", service="cart")])
def test_what_never_starts_a_diagnosis_is_suppressed_and_resolvable(take: Take, queue: QueueDB, quiet: Alert) -> None:
    receipt, again = take(quiet), take(quiet)
    assert figures(receipt) == (0, 0, 1)
    assert figures(again) == (0, 1, 0)
    assert queue.depth() == 0
    for told in (receipt, again):
        job = queue.get(told.diagnoses[0][0])
        assert job
        assert job.state is JobState.SUPPRESSED


def test_the_next_firing_of_the_same_alert_is_another(take: Take, queue: QueueDB) -> None:
    first, later = take(alert(service="cart")), take(alert(service="cart", at=3600))
    assert figures(later) == (1, 0, 0)
    assert first.diagnoses[0][0] != later.diagnoses[0][0]
    assert queue.depth() == 2


def test_a_full_queue_loses_nothing(store: StoreDB, tmp_path: Path) -> None:
    full = queue_db(tmp_path / "small.db", capacity=1)
    alerts = [alert(service="cart"), alert(service="checkout")]
    with pytest.raises(Overloaded):
        fold.accept([Notification(tuple(alerts))], ENTITIES, store, full)
    assert full.depth() == 0
    full.close()
    roomy = queue_db(tmp_path / "small.db", capacity=10)
    (receipt,) = fold.accept([Notification(tuple(alerts))], ENTITIES, store, roomy)
    assert figures(receipt) == (2, 0, 0)
    assert roomy.depth() == 2
    roomy.close()


def test_a_crash_between_putting_and_recording_joins_the_job(store: StoreDB, queue: QueueDB, take: Take) -> None:
    (job,) = queue.put(fold.jobs([alert(service="cart")], ENTITIES))  # and here the power went
    receipt = take(alert(service="cart"))
    assert figures(receipt) == (1, 0, 0)
    assert receipt.diagnoses[0][0] == job.id
    assert queue.depth() == 1


def test_when_the_job_is_gone_its_report_is_found(store: StoreDB, queue: QueueDB, take: Take) -> None:
    one = alert(service="cart")
    take(one)
    job = queue.claim(60, "w")
    assert job
    queue.ack(job, JobState.DONE)
    store.save(job.id, b"{}", b"", {"verdict": "found"}, [one])
    assert queue.purge(datetime.now(UTC) + timedelta(days=1)) == 1
    assert [d for d, _ in take(one).diagnoses] == [job.id]


def test_a_thousand_alerts_in_one_body(take: Take, queue: QueueDB) -> None:
    storm = [alert(service=f"s{i % 50}", instance=f"i{i}") for i in range(1000)]
    assert figures(take(*storm)) == (1000, 0, 0)
    assert figures(take(*storm)) == (0, 1000, 0)
    assert queue.depth() == 50
    waiting: list[Job] = list(queue.recent(100))
    assert sum(len(job.task.inputs.alerts) for job in waiting) == 1000
