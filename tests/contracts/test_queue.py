"""What every JobQueue must do, also when its processes are killed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.queues import LEASE_S, encode, job, open_queue
from redis import Redis

from aiops.adapters.sqlite import QueueDB
from aiops.adapters.sqlite.database import Database, Schema
from aiops.adapters.sqlite.queue import SCHEMA as QUEUE
from aiops.domain import Job, JobState, Presence
from aiops.errors import DataError, Overloaded, StoreError
from aiops.ports import HEAD_START, MOST_DELIVERED, JobQueue

import servers
from conftest import needed

LONG = 60.0
EXPIRED = 0.0
FINISHED = (JobState.DONE, JobState.INCONCLUSIVE, JobState.FAILED, JobState.SUPPRESSED)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty queue is."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'queue.db'}"
    server: servers.Server = request.getfixturevalue("redis")
    with contextlib.closing(Redis.from_url(server.url)) as client:
        client.flushall()
    return server.url


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with needed(), servers.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., JobQueue]]:
    """Opens the same queue as often as it is called."""
    queues: list[JobQueue] = []

    def open_it(**limits: int) -> JobQueue:
        queues.append(open_queue(url, **limits))
        return queues[-1]

    yield open_it
    for queue in queues:
        queue.close()


@pytest.fixture
def queue(opened: Callable[..., JobQueue]) -> JobQueue:
    return opened()


def claimed(queue: JobQueue, lease_s: float = LONG) -> Job:
    found = queue.claim(lease_s, "worker")
    assert found is not None
    return found


def test_empty(queue: JobQueue):
    assert queue.claim(LONG, "worker") is None
    assert queue.get("nobody") is None
    assert queue.recent() == queue.put([]) == ()
    assert queue.depth() == queue.reclaim() == 0


def test_a_job_comes_back_as_it_was_put(queue: JobQueue):
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    given = replace(job("a", "为什么慢? '; DROP TABLE jobs --"), episode_id="e1", enqueued_at=at)
    assert queue.put([given]) == (given,)
    assert queue.get(given.id) == given
    assert queue.recent() == (given,)
    assert queue.claim(LONG, "worker") == replace(given, state=JobState.RUNNING, attempts=1)


def test_when_it_was_put_is_noted(queue: JobQueue):
    (put,) = queue.put([job("a")])
    assert put.enqueued_at is not None
    assert abs(put.enqueued_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_first_come_first_served(queue: JobQueue):
    queue.put([job("c"), job("a")])
    queue.put([job("b")])
    assert queue.depth() == 3
    assert [each.key for each in queue.recent()] == ["b", "a", "c"]
    assert [each.key for each in queue.recent(2)] == ["b", "a"]
    assert [claimed(queue).key for _ in range(3)] == ["c", "a", "b"]
    assert queue.claim(LONG, "worker") is None
    assert queue.depth() == 0


def test_a_repeat_joins_the_job_that_waits_or_runs(queue: JobQueue):
    first, twin = queue.put([job("a", "first"), job("a", "second")])
    assert first == twin
    assert queue.put([replace(job("a"), id="another")]) == (first,)
    running = claimed(queue)
    assert queue.put([job("a")]) == (running,)
    assert queue.depth() == 0
    assert queue.claim(LONG, "worker") is None


@pytest.mark.parametrize("state", FINISHED)
def test_a_repeat_of_a_finished_job_runs_again(queue: JobQueue, state: JobState):
    queue.put([job("a")])
    assert queue.ack(claimed(queue), state, "why")
    finished = queue.get(job("a").id)
    assert finished is not None
    assert (finished.state, finished.error) == (state, "why")
    (again,) = queue.put([job("a")])
    assert (again.id, again.state, again.attempts, again.error) == (job("a").id, JobState.QUEUED, 0, "")
    assert claimed(queue).attempts == 1


def test_a_suppressed_job_is_recorded_and_never_claimed(queue: JobQueue):
    (put,) = queue.put([replace(job("a"), state=JobState.SUPPRESSED, error="silenced")])
    assert queue.get(put.id) == put
    assert queue.depth() == 0
    assert queue.claim(LONG, "worker") is None
    assert queue.put([job("a")])[0].state is JobState.QUEUED


def test_no_job_is_put_or_acked_running(queue: JobQueue):
    with pytest.raises(ValueError, match="claimed"):
        queue.put([replace(job("a"), state=JobState.RUNNING)])
    queue.put([job("a")])
    with pytest.raises(ValueError, match="renew"):
        queue.ack(claimed(queue), JobState.RUNNING)


def test_an_id_stands_for_one_key(queue: JobQueue):
    queue.put([job("a")])
    with pytest.raises(StoreError, match=job("a").id):
        queue.put([job("fine"), replace(job("b"), id=job("a").id)])
    assert [each.key for each in queue.recent()] == ["a"]


def test_half_a_surrogate_pair_is_refused(queue: JobQueue):
    with pytest.raises(DataError):
        queue.put([job("fine"), replace(job("a"), episode_id="\ud800")])
    assert queue.recent() == ()


def test_a_full_queue_takes_repeats_only_and_nothing_by_halves(opened: Callable[..., JobQueue]):
    queue = opened(capacity=2)
    queue.put([job("a")])
    with pytest.raises(Overloaded):
        queue.put([job("b"), job("c")])
    assert queue.get(job("b").id) is None
    queue.put([job("b")])
    assert [each.key for each in queue.put([job("a"), job("b")])] == ["a", "b"]
    claimed(queue)
    queue.put([job("c")])
    with pytest.raises(Overloaded):
        queue.put([job("d")])


def test_a_job_whose_lease_has_expired_comes_back_in_its_old_place(queue: JobQueue):
    queue.put([job("a"), job("b")])
    lost = claimed(queue, EXPIRED)
    assert queue.reclaim() == 1
    assert queue.reclaim() == 0
    again = claimed(queue)
    assert (again.id, again.attempts) == (lost.id, 2)


def test_a_lease_that_lasts_is_not_reclaimed(queue: JobQueue):
    queue.put([job("a")])
    claimed(queue)
    assert queue.reclaim() == 0
    assert queue.claim(LONG, "other") is None


def test_a_heartbeat_prolongs_the_lease(queue: JobQueue):
    queue.put([job("a")])
    held = claimed(queue, EXPIRED)
    assert queue.renew(held, LONG)
    assert queue.reclaim() == 0
    assert queue.renew(held, EXPIRED)
    assert queue.reclaim() == 1
    assert not queue.renew(held, LONG)


def test_a_job_that_keeps_killing_its_worker_is_given_up(opened: Callable[..., JobQueue]):
    queue = opened(max_attempts=3)
    queue.put([job("a")])
    for attempt in (1, 2, 3):
        assert claimed(queue, EXPIRED).attempts == attempt
        assert queue.reclaim() == 1
    dead = queue.get(job("a").id)
    assert dead is not None
    assert dead.state is JobState.FAILED
    assert "3 attempts" in dead.error
    assert queue.claim(LONG, "worker") is None
    assert queue.put([job("a")])[0].state is JobState.QUEUED


def test_a_claim_that_was_given_back_is_no_attempt_that_failed(opened: Callable[..., JobQueue]):
    """As while a source is away: a worker that dies then must not take the job with it."""
    queue = opened(max_attempts=2)
    queue.put([job("a")])
    for _ in range(5):
        assert queue.ack(claimed(queue), JobState.QUEUED, "away")
    claimed(queue, EXPIRED)
    assert queue.reclaim() == 1
    assert claimed(queue, EXPIRED).attempts == 7
    assert queue.reclaim() == 1
    dead = queue.get(job("a").id)
    assert dead is not None
    assert (dead.state, "after 2 attempts" in dead.error) == (JobState.FAILED, True)


def test_the_word_of_a_worker_that_lost_its_claim_is_not_heard(queue: JobQueue):
    queue.put([job("a")])
    late = claimed(queue, EXPIRED)
    queue.reclaim()
    current = claimed(queue)
    assert not queue.renew(late, LONG)
    assert not queue.ack(late, JobState.FAILED, "late")
    assert queue.get(late.id) == current
    assert queue.ack(current, JobState.DONE)
    assert queue.ack(current, JobState.DONE)
    assert not queue.ack(current, JobState.FAILED)
    done = queue.get(current.id)
    assert done is not None
    assert done.state is JobState.DONE


def test_late_work_counts_while_nobody_else_has_begun(queue: JobQueue):
    queue.put([job("a")])
    late = claimed(queue, EXPIRED)
    queue.reclaim()
    assert queue.ack(late, JobState.DONE)
    assert queue.claim(LONG, "other") is None


def test_a_job_can_be_given_back(queue: JobQueue):
    queue.put([job("a"), job("b")])
    held = claimed(queue)
    assert queue.ack(held, JobState.QUEUED)
    assert claimed(queue).id == held.id


def test_only_finished_jobs_are_purged(queue: JobQueue):
    old = datetime.now(UTC) - timedelta(days=30)
    queue.put([replace(job(key), enqueued_at=old) for key in "abc"])
    queue.put([job("new")])
    queue.ack(claimed(queue), JobState.DONE)
    claimed(queue)
    assert queue.purge(datetime.now(UTC) - timedelta(days=7)) == 1
    assert [each.key for each in queue.recent()] == ["new", "c", "b"]


def test_a_job_goes_to_a_worker_that_has_all_its_labels(queue: JobQueue):
    prod = replace(job("prod"), labels=("env:prod", "region:eu"))
    queue.put([prod, replace(job("eu"), labels=("region:eu",)), job("any")])
    assert queue.get(prod.id) == replace(prod, enqueued_at=queue.recent()[-1].enqueued_at)
    assert queue.lanes() == {("env:prod", "region:eu"): 1, ("region:eu",): 1, (): 1}
    assert queue.depth() == 3
    assert claimed(queue).key == "any"
    assert queue.claim(LONG, "worker", ["env:prod"]) is None
    able = queue.claim(LONG, "worker", ["region:eu", "env:prod", "gpu:no"])
    assert able is not None
    assert able.key == "prod"  # the older of the two that it may have
    assert queue.claim(LONG, "worker", ["region:us"]) is None
    assert queue.lanes() == {("region:eu",): 1}
    assert queue.ack(able, JobState.QUEUED)
    assert queue.lanes() == {("env:prod", "region:eu"): 1, ("region:eu",): 1}
    again = queue.claim(EXPIRED, "worker", ["region:eu", "env:prod"])
    assert again is not None
    assert (again.key, again.attempts) == ("prod", 2)
    assert queue.reclaim() == 1
    assert queue.claim(LONG, "worker") is None
    third = queue.claim(LONG, "worker", ["region:eu", "env:prod"])
    assert third is not None
    assert third.attempts == 3
    assert queue.ack(third, JobState.DONE)
    assert queue.purge(datetime.now(UTC) + timedelta(days=1)) == 1
    assert queue.lanes() == {("region:eu",): 1}


def test_who_asks_goes_before_alerts_that_have_waited_for_less_than_a_while(queue: JobQueue):
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    eu = ("region:eu",)

    def put(key: str, episode: str = "", labels: tuple[str, ...] = (), waited: timedelta = timedelta()) -> None:
        queue.put([replace(job(key), episode_id=episode, labels=labels, enqueued_at=now - waited)])

    put("alert", "e1")
    put("alert in eu", "e2", eu)
    put("question")
    put("question in eu", labels=eu)
    assert queue.lanes() == {(): 2, eu: 2}
    order = []
    while (held := queue.claim(LONG, "worker", eu)) is not None:
        order.append(held.key)
        if held.key == "alert" and order.count("alert") == 1:  # put off, and somebody asks meanwhile
            assert queue.ack(held, JobState.QUEUED)
            put("another question")
    assert order == ["question", "question in eu", "alert", "another question", "alert", "alert in eu"]
    put("old alert", "e3", waited=HEAD_START + timedelta(seconds=1))
    put("last question")
    assert [claimed(queue).key for _ in range(2)] == ["old alert", "last question"]


def test_a_result_waits_until_its_job_is_acked(opened: Callable[..., JobQueue]):
    queue = opened()
    queue.put([job("a"), job("b")])
    first, second = claimed(queue), claimed(queue, EXPIRED)
    assert queue.delivered() == ()
    assert queue.deliver(second, b"\x00two")
    assert queue.deliver(first, b"one")
    assert queue.deliver(first, b"one")
    assert queue.reclaim() == 0  # a lease that was delivered on does not expire
    queue.close()
    queue = opened()
    assert [(done.id, result) for done, result in queue.delivered()] == [(first.id, b"one"), (second.id, b"\x00two")]
    assert queue.delivered(1)[0][0] == first
    assert queue.put([job("a")])[0].id == first.id  # it still counts as running
    assert queue.depth() == 0
    assert queue.ack(first, JobState.DONE)
    assert [done.id for done, _ in queue.delivered()] == [second.id]
    assert not queue.deliver(first, b"late")
    ended = queue.get(first.id)
    assert ended is not None
    assert ended.state is JobState.DONE


def test_the_result_of_a_claim_that_was_lost_is_not_taken(queue: JobQueue):
    queue.put([job("a")])
    late = claimed(queue, EXPIRED)
    queue.reclaim()
    current = claimed(queue)
    assert not queue.deliver(late, b"late")
    assert queue.deliver(current, b"in time")
    assert not queue.deliver(late, b"later")
    assert [result for _, result in queue.delivered()] == [b"in time"]


def test_a_late_result_counts_while_nobody_else_has_begun(queue: JobQueue):
    queue.put([job("a")])
    late = claimed(queue, EXPIRED)
    queue.reclaim()
    assert queue.deliver(late, b"late")
    assert queue.claim(LONG, "other") is None
    assert queue.depth() == 0
    assert queue.ack(late, JobState.DONE)


def test_nothing_is_handed_out_while_too_many_results_wait(queue: JobQueue):
    queue.put([job(f"job-{i}") for i in range(MOST_DELIVERED + 1)])
    held = [claimed(queue) for _ in range(MOST_DELIVERED)]
    assert all(queue.deliver(each, b"") for each in held)
    assert queue.claim(LONG, "worker") is None
    assert queue.ack(held[0], JobState.DONE)
    assert claimed(queue).key == f"job-{MOST_DELIVERED}"


def test_workers_are_known_until_they_leave(queue: JobQueue):
    queue.announce(Presence("w2", ("env:prod",), 3, 1), LONG)
    queue.announce(Presence("w1"), 0.01)
    queue.announce(Presence("w3"), LONG)
    queue.announce(Presence("w3"), 0)
    time.sleep(0.05)
    assert queue.workers() == (Presence("w1", alive=False), Presence("w2", ("env:prod",), 3, 1))
    queue.announce(Presence("w1", running=1), LONG)
    assert queue.workers()[0] == Presence("w1", running=1)


def test_jobs_of_a_queue_without_labels_are_still_there(tmp_path: Path):
    """Schema 1 of the SQLite queue, as it was released."""
    before = Schema(QUEUE.name, QUEUE.migrations[:1])
    old = Database(tmp_path / "queue.db", before)
    row = ("an id", "a", encode(job("a").task), "queued", 0, "", "", 1)
    old.write(
        lambda connection: (
            connection.execute(
                """INSERT INTO jobs (id, key, task, state, attempts, error, episode_id, enqueued_at)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                row,
            ).rowcount
        )
    )
    old.close()
    with contextlib.closing(open_queue(f"sqlite:{tmp_path / 'queue.db'}")) as queue:
        assert queue.lanes() == {(): 1}
        assert claimed(queue).labels == ()
        assert queue.depth() == 0


def test_jobs_of_a_redis_queue_without_questions_apart_are_still_there(redis: servers.Server):
    """Schema 2: all jobs without labels in one stream, and no lane told."""
    with contextlib.closing(Redis.from_url(redis.url)) as client:
        client.flushall()
        with contextlib.closing(open_queue(redis.url)) as queue:
            queue.put([replace(job("alert"), episode_id="e"), replace(job("asked"), episode_id="e")])
            for name in ("alert", "asked"):
                client.hdel(f"{{aiops}}:job:{job(name).id}", "lane")
            client.hset(f"{{aiops}}:job:{job('asked').id}", "episode_id", "")
            client.set("{aiops}:schema", 2)
        with contextlib.closing(open_queue(redis.url)) as queue:
            queue.put([job("new")])
            assert queue.depth() == 3
            done = [claimed(queue) for _ in range(3)]
            assert [each.key for each in done] == ["new", "alert", "asked"]
            assert all(queue.renew(each, LONG) and queue.ack(each, JobState.DONE) for each in done)
            assert queue.depth() == 0
        assert client.get("{aiops}:schema") == b"3"


def test_no_job_goes_to_two_workers(opened: Callable[..., JobQueue]):
    one, other = opened(), opened()
    one.put([job(f"job-{i}") for i in range(60)])

    def drain(queue: JobQueue) -> list[str]:
        done = []
        while (held := queue.claim(LONG, "worker")) is not None:
            done.append(held.id)
            assert queue.ack(held, JobState.DONE)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [each for part in pool.map(drain, [one, other, one, other]) for each in part]
    assert sorted(done) == sorted(job(f"job-{i}").id for i in range(60))


def test_threads_that_put_together_get_each_their_own(queue: JobQueue):
    def put(worker: int) -> list[str]:
        return [queue.put([job(f"{worker}-{i}"), job("shared")])[0].key for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put, range(8))) == [[f"{worker}-{i}" for i in range(20)] for worker in range(8)]
    assert queue.depth() == 161


def test_a_queue_outlives_its_opener(opened: Callable[..., JobQueue]):
    queue = opened()
    queue.put([job("a"), job("b")])
    held = claimed(queue, EXPIRED)
    queue.close()
    again = opened()
    assert again.get(held.id) == held
    assert again.reclaim() == 1
    assert again.depth() == 2


def test_ping_names_what_answers(queue: JobQueue):
    assert queue.ping(5)


def test_closed_twice_and_never_used_again(queue: JobQueue):
    queue.close()
    queue.close()
    with pytest.raises(StoreError):
        queue.put([job("a")])


class Crew:
    """One process that puts and one that works, each started again after it was killed; what they told is in files."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.files = {role: folder / role for role in ("put", "work")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start_missing(self) -> None:
        for role in self.files.keys() - self.running.keys():
            with self.files[role].open("ab") as output:
                self.running[role] = subprocess.Popen(
                    [sys.executable, "-m", "contracts.queues", role, self.url],
                    stdout=output,
                    cwd=Path(__file__).parents[1],
                )

    def told(self, role: str) -> list[list[str]]:
        """Whole lines: the last one may have been in the making when its teller died."""
        return [line.split() for line in self.files[role].read_text().split("\n")[:-1]]

    def wait_for_news(self, role: str) -> None:
        before = len(self.told(role))
        while len(self.told(role)) == before:
            assert self.running[role].poll() is None
            time.sleep(0.005)

    def kill(self, role: str) -> None:
        process = self.running.pop(role)
        process.kill()
        process.wait()
        whole = "".join(" ".join(line) + "\n" for line in self.told(role))
        self.files[role].write_text(whole)


@pytest.fixture
def crew(url: str, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(url, tmp_path)
    yield crew
    for role in list(crew.running):
        crew.kill(role)


def test_nothing_accepted_is_lost_and_nothing_acked_is_done_again_over_kill_9(crew: Crew, queue: JobQueue):
    dice = random.Random(7)
    for role in ["put", "work", "put", "work", "work", "put", "work", "put", "work", "work"]:
        crew.start_missing()
        crew.wait_for_news(role)
        time.sleep(dice.uniform(0, 0.1))
        crew.kill(role)
    for role in list(crew.running):
        crew.kill(role)
    accepted = {each for _, *ids in crew.told("put") for each in ids}
    acked: set[str] = set()
    for what, each in crew.told("work"):
        assert each not in acked
        acked.update([each] if what == "acked" else [])
    assert len(accepted) > 20
    assert acked

    time.sleep(LEASE_S)
    queue.reclaim()
    while (held := queue.claim(LONG, "the last")) is not None:
        assert held.id not in acked
        assert queue.ack(held, JobState.DONE)
    assert queue.depth() == 0
    ended = [queue.get(each) for each in accepted]
    assert all(each is not None and each.state is JobState.DONE for each in ended)
    if isinstance(queue, QueueDB):
        assert queue.check() == ""


def test_the_oldest_that_waits_is_told(opened: Callable[..., JobQueue]) -> None:
    queue, now = opened(), datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert queue.oldest() is None
    queue.put([replace(job("eu"), enqueued_at=now + timedelta(seconds=5), labels=("region:eu",))])
    queue.put([replace(job("any"), enqueued_at=now + timedelta(seconds=9))])
    assert queue.oldest() == now + timedelta(seconds=5)
    taken = queue.claim(LEASE_S, "w", ["region:eu"])
    assert taken is not None
    assert queue.oldest() == now + timedelta(seconds=9)
    queue.ack(taken, JobState.QUEUED)  # back in its place
    assert queue.oldest() == now + timedelta(seconds=5)
