"""How the Redis queue fails and recovers; that it keeps its port's word is in tests/contracts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.queues import decode, encode, job
from redis import Redis

from aiops.adapters.redis_queue import RedisQueue
from aiops.domain import JobState, Task
from aiops.errors import ConfigError, Overloaded, StoreError

import servers
from conftest import needed
from servers.parts import binary, environment

LANES = b"{aiops}:queue", b"{aiops}:queue:!"  # of episodes, and of what somebody asks for


@contextlib.contextmanager
def keeping(data: Path, *flags: str, port: int | None = None) -> Iterator[servers.Server]:
    """A Redis that appends every command to a file before it answers."""
    with needed():
        program = str(binary("redis-server"))

        def command(free: int) -> list[str]:
            durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
            return [program, "--bind", "127.0.0.1", "--port", str(port or free), "--dir", str(data), *durable, *flags]

        def ready(free: int) -> bool:
            try:
                with contextlib.closing(Redis(port=port or free, password="secret")) as client:
                    return bool(client.execute_command("PING"))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
                return "without any password" in str(error)

        with servers.serving("redis-aof", command, ready, scheme="redis", env=environment()) as server:
            yield server


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RedisQueue]:
    with keeping(tmp_path) as server, contextlib.closing(RedisQueue(server.url, encode, decode)) as queue:
        yield queue


def test_a_server_that_is_killed_has_lost_nothing_it_accepted(tmp_path: Path):
    with keeping(tmp_path) as server, contextlib.closing(RedisQueue(server.url, encode, decode)) as queue:
        queue.put([job("a"), job("b"), job("c")])
        done, running = queue.claim(60, "one"), queue.claim(60, "two")
        assert done
        assert running
        assert queue.ack(done, JobState.DONE)
        server.process.kill()
        server.process.wait()
        with pytest.raises(StoreError, match="can't be reached"):
            queue.put([job("d")])
        with keeping(tmp_path, port=server.port):
            assert queue.get(job("d").id) is None
            assert queue.put([job("d")])[0].key == "d"
            assert queue.get(done.id) is not None
            assert [each.state for each in queue.recent()] == ["queued", "queued", "running", "done"]
            assert queue.reclaim() == 0
            assert queue.ack(running, JobState.DONE)
            assert [(queue.claim(60, "w") or job("")).key for _ in range(3)] == ["c", "d", ""]


def test_a_server_that_is_not_there_is_told_without_its_password():
    queue = RedisQueue("redis://user:hunter2@127.0.0.1:1/0", encode, decode)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1: can't be reached") as caught:
        queue.depth()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError):
        queue.ping(1)
    queue.close()


def test_a_wrong_password_is_told_and_the_right_one_serves(tmp_path: Path):
    with keeping(tmp_path, "--requirepass", "secret") as server:
        for password in (None, "wrong"):
            queue = RedisQueue(server.url, encode, decode, password=password)
            with contextlib.closing(queue), pytest.raises(StoreError, match="refuses the credentials"):
                queue.put([job("a")])
        with contextlib.closing(RedisQueue(server.url, encode, decode, password="secret")) as queue:
            assert queue.put([job("a")])


def test_a_url_of_something_else_is_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="Redis"):
        RedisQueue("http://127.0.0.1", encode, decode)


def test_a_newer_queue_is_refused_with_its_version(queue: RedisQueue):
    queue._redis.set("{aiops}:schema", 99)
    with pytest.raises(StoreError, match="99"):
        queue.put([job("a")])


def test_namespaces_do_not_meet(queue: RedisQueue):
    port = queue._redis.connection_pool.connection_kwargs["port"]
    with contextlib.closing(RedisQueue(f"redis://127.0.0.1:{port}", encode, decode, namespace="other")) as other:
        other.put([job("a")])
        assert queue.recent() == ()


def test_full_memory_is_overload_and_ends(queue: RedisQueue):
    queue.put([job("a")])
    queue._redis.config_set("maxmemory", 1)
    with pytest.raises(Overloaded, match="memory"):
        queue.put([job("b")])
    queue._redis.config_set("maxmemory", 0)
    assert [each.key for each in queue.put([job("b")])] == ["b"]
    assert queue.depth() == 2


def test_a_server_that_was_emptied_serves_on(queue: RedisQueue):
    queue.put([job("a")])
    held = queue.claim(60, "worker")
    assert held
    queue._redis.flushall()
    assert not queue.ack(held, JobState.DONE)
    assert queue.reclaim() == queue.depth() == 0
    queue.put([job("a")])
    again = queue.claim(60, "worker")
    assert again
    assert (again.id, again.attempts) == (held.id, 1)


def test_what_was_given_up_stands_in_the_dead_letter_stream(queue: RedisQueue):
    queue.put([job("a")])
    for _ in range(5):
        assert queue.claim(0, "worker")
        assert queue.reclaim() == 1
    ((_, letter),) = queue._redis.xrange("{aiops}:dead")
    assert letter[b"id"].decode() == job("a").id
    assert b"5 attempts" in letter[b"error"]
    assert [queue._redis.xlen(lane) for lane in LANES] == [0, 0]


def test_finished_jobs_leave_the_stream_and_the_purge_leaves_nothing(queue: RedisQueue):
    queue.put([job("a")])
    held = queue.claim(60, "worker")
    assert held
    queue.ack(held, JobState.DONE)
    assert [queue._redis.xlen(lane) for lane in LANES] == [0, 0]
    assert held.enqueued_at
    assert queue.purge(held.enqueued_at.replace(year=2100)) == 1
    assert sorted(queue._redis.keys()) == sorted([b"{aiops}:number", *LANES, b"{aiops}:schema"])


def test_a_task_that_cannot_be_read_is_failed_and_the_next_is_taken(queue: RedisQueue):
    def forgetful(text: bytes) -> Task:
        task = decode(text)
        if task.question == "lost":
            raise ValueError("no such question")
        return task

    queue.put([job("a", "lost"), job("b")])
    queue._decode = forgetful
    claimed = queue.claim(60, "worker")
    assert claimed is not None
    assert claimed.key == "b"
    queue._decode = decode
    lost = queue.get(job("a").id)
    assert lost is not None
    assert lost.state is JobState.FAILED
    assert "no such question" in lost.error


def test_ping_says_whether_what_is_accepted_is_kept(queue: RedisQueue):
    assert "without append-only file" not in queue.ping(5)
    queue._redis.config_set("appendonly", "no")
    assert "without append-only file" in queue.ping(5)


def test_a_clock_that_is_put_back_prolongs_no_lease(queue: RedisQueue):
    """After it, a claim seems to have been idle for less than it began with; the server shows at least 0."""
    queue.put([job("a")])
    lease_s, began = 1.0, time.monotonic()
    held = queue.claim(lease_s, "one that dies")
    assert held
    stream = LANES[1]
    with contextlib.closing(Redis(connection_pool=queue._redis.connection_pool)) as client:
        (claim,) = client.xpending_range(stream, "workers", "-", "+", 10)
        client.xclaim(stream, "workers", claim["consumer"], 0, [claim["message_id"]], idle=0, justid=True)
    early = queue.reclaim()
    assert early == 0 or time.monotonic() - began >= lease_s
    time.sleep(lease_s + 0.1)
    assert early + queue.reclaim() == 1
    again = queue.claim(60, "another")
    assert again
    assert again.attempts == 2
