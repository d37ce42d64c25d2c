"""JobQueue on Redis Streams (Redis 6.2 or newer, Valkey): many workers on many machines.

A stream holds the jobs that wait or run, oldest first: two streams (lanes) for each set of labels that jobs have, one of what
somebody asked for and one of episodes. A consumer group hands them out. The group's pending entries *are* the leases:
an entry's idle time starts at `HORIZON - lease`, so a lease has expired when its entry is `HORIZON` idle, whatever its length,
and its delivery count is the job's attempts. Jobs that come back wait as pending entries of the consumer `WAITING` and go
first, in stream order. Each verb is one Lua script, hence atomic. A finished job leaves the stream (XACK and XDEL); its hash
stays until it is purged, and `dead` lists those that were given up.

Durable as the server is: with `appendonly yes` and `appendfsync always` an accepted job survives any crash of it; `ping`
says when the server keeps nothing. Leases are timed by the server's clock.

All keys stand in one hash slot, so a cluster serves as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aiops.adapters.redis_scripts import HORIZON_MS, SCRIPTS
from aiops.domain import NS, Job, JobState, Presence, Task, from_ns, to_ns
from aiops.errors import AiopsError, ConfigError, DataError, Overloaded, StoreError

Fields: TypeAlias = Sequence[bytes]

SCHEMA = 3
NS_PER_MS = NS // 1000


class RedisQueue:
    """The queue `namespace` at `url` (redis://, rediss:// or unix://, with the database's number as path).

    Connects at first use, so that a service may start before its queue. Every failure of the server is a StoreError.
    `encode`, `decode`, `capacity` and `max_attempts` as in every JobQueue.
    """

    def __init__(
        self,
        url: str,
        encode: Callable[[Task], bytes],
        decode: Callable[[bytes], Task],
        *,
        password: str | None = None,
        namespace: str = "aiops",
        capacity: int = 100_000,
        max_attempts: int = 5,
        timeout_s: float = 5.0,
    ) -> None:
        self._encode, self._decode = encode, decode
        self._capacity, self._max_attempts = capacity, max_attempts
        secret = {"password": password} if password else {}
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                # Once more, at once: enough for a connection that the server has closed while it lay idle.
                retry=Retry(NoBackoff(), 1),
                **secret,
            )
        except ValueError as error:
            raise ConfigError(f"the queue's URL is not one of Redis: {error}") from error
        self._whom = _whom(self._redis)
        self._prefix = f"{{{namespace}}}:"
        self._scripts = {name: self._redis.register_script(text) for name, text in SCRIPTS.items()}
        self._checked = False
        self._closed = False

    # ------------------------------------------------------------ the four verbs

    def put(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """All or none. A job whose key is queued or running joins that one, which is returned."""
        rows: list[bytes | str | int] = []
        for job in jobs:
            if job.state is JobState.RUNNING:
                raise ValueError("a job runs by being claimed, not by being put")
            at = to_ns(job.enqueued_at or datetime.now(UTC)) // NS_PER_MS
            rows += [job.id, job.key, self._encode(job.task), job.state.value, job.error, job.episode_id, at]
            rows.append("\n".join(job.labels))
        return tuple(map(self._job, self._run("put", self._capacity, *rows))) if rows else ()

    def claim(self, lease_s: float, worker: str, labels: Iterable[str] = ()) -> Job | None:
        """The next queued job for a worker with `labels`, leased to it; None when there is none. A lease lasts 30 days at most.

        A job whose task can't be decoded (written by another version) is failed with the reason, and the next is taken.
        """
        mine = sorted(labels)
        while (fields := self._run("claim", worker, _ms(lease_s), *mine)) is not None:
            try:
                return self._job(fields)
            except StoreError as error:
                self._run("ack", fields[0], fields[4], JobState.FAILED.value, str(error))
        return None

    def renew(self, job: Job, lease_s: float) -> bool:
        """The heartbeat: `lease_s` more, from now. False when the claim is lost and the work should stop."""
        return bool(self._run("renew", job.id, job.attempts, _ms(lease_s)))

    def ack(self, job: Job, state: JobState, error: str = "") -> bool:
        """Ends the claim: finished in `state`, or given back with `QUEUED`. False when the claim was lost."""
        if state is JobState.RUNNING:
            raise ValueError("`running` ends no claim; `renew` prolongs it")
        return bool(self._run("ack", job.id, job.attempts, state.value, error))

    def deliver(self, job: Job, result: bytes) -> bool:
        """Keeps what the claim has led to until its job is acked. False when the claim was lost."""
        return bool(self._run("deliver", job.id, job.attempts, result))

    def delivered(self, limit: int = 10) -> tuple[tuple[Job, bytes], ...]:
        """Results that wait, oldest job first; each until its job is acked."""
        return tuple((self._job(fields), result) for fields, result in self._run("delivered", limit))

    def announce(self, worker: Presence, ttl_s: float) -> None:
        """`worker` is alive for `ttl_s` more; 0 when it leaves."""
        words = json.dumps([worker.labels, worker.capacity, worker.running])
        self._run("announce", worker.name, _ms(ttl_s), words)

    def workers(self) -> tuple[Presence, ...]:
        """By name; one that went silent is told for an hour, not `alive`."""
        told = ((name.decode(), *json.loads(words), bool(alive)) for name, words, alive in self._run("workers"))
        return tuple(
            Presence(name, tuple(labels), capacity, running, alive)
            for name, labels, capacity, running, alive in sorted(told)
        )

    def reclaim(self) -> int:
        """Queues jobs with an expired lease again, or gives them up. To be called on a timer by every worker."""
        return int(self._run("reclaim", self._max_attempts))

    # ------------------------------------------------------------ questions

    def get(self, job_id: str) -> Job | None:
        """The job, finished or not, until it is purged."""
        fields = self._run("get", job_id)
        return None if fields[0] is None else self._job(fields)

    def recent(self, limit: int = 100) -> tuple[Job, ...]:
        """The jobs put last, newest first."""
        return tuple(map(self._job, self._run("recent", limit)))

    def depth(self) -> int:
        """How many wait to be claimed."""
        return int(self._run("depth"))

    def lanes(self) -> Mapping[tuple[str, ...], int]:
        """How many wait, by their labels."""
        return {_parted(labels): int(count) for labels, count in self._run("lanes")}

    def oldest(self) -> datetime | None:
        """When the first of those that wait was put; None when none waits."""
        at_ms = self._run("oldest")
        return None if at_ms is None else from_ns(int(float(at_ms)) * NS_PER_MS)

    def purge(self, before: datetime) -> int:
        """Forgets finished jobs that were put before `before`; returns how many."""
        return int(self._run("purge", to_ns(before) // NS_PER_MS))

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - the connection has its own, shorter one
        """What answers, and whether it keeps what it accepts."""
        with self._in_words():
            server: dict[str, Any] = self._redis.info()
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = server.get("valkey_version", server.get("redis_version", "of unknown version"))
        kept = "" if server.get("aof_enabled") else ", without append-only file: accepted jobs die with the server"
        return f"{name} {version} at {self._whom}{kept}"

    def close(self) -> None:
        """Twice does no harm. Leases go on: another process may reclaim them when they expire."""
        self._closed = True
        self._redis.close()

    # ------------------------------------------------------------ the server

    def _run(self, name: str, *arguments: bytes | str | float) -> Any:
        with self._in_words():
            if not self._checked:
                self._check_schema()
            return self._scripts[name](keys=[f"{self._prefix}queue"], args=[self._prefix, *arguments])

    def _check_schema(self) -> None:
        key = f"{self._prefix}schema"
        self._redis.setnx(key, SCHEMA)
        found = int(self._redis.get(key) or 0)
        if found > SCHEMA:
            raise StoreError(
                f"{self._whom}: has queue schema {found}; this program knows up to {SCHEMA}: "
                "use the newer aiops that wrote it, or another database"
            )
        # Jobs of schema 1 have no labels, those of 2 stand together whoever asked; they stay where they are.
        if found < SCHEMA:
            self._redis.set(key, SCHEMA)
        self._checked = True

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turns every way the server can fail into StoreError, or Overloaded when it is full."""
        if self._closed:
            raise StoreError(f"{self._whom}: is closed")
        try:
            yield
        except redis.AuthenticationError as error:
            raise StoreError(f"{self._whom}: refuses the credentials: {error}") from error
        except redis.TimeoutError as error:
            raise StoreError(f"{self._whom}: did not answer in time") from error
        except redis.ConnectionError as error:
            raise StoreError(f"{self._whom}: can't be reached: {error}") from error
        except redis.exceptions.OutOfMemoryError as error:
            raise Overloaded(f"{self._whom}: its memory is full") from error
        except redis.RedisError as error:
            raise self._refusal(str(error)) from error
        except UnicodeEncodeError as error:
            raise DataError(f"{self._whom}: text with half a surrogate pair can't be stored or looked up") from error

    def _refusal(self, text: str) -> AiopsError:
        # Redis 7 appends where in the script it failed.
        word, _, rest = text.partition(" script: ")[0].partition(" ")
        if word == "FULL":
            waiting, more = rest.split()[:2]
            return Overloaded(f"the queue holds {waiting} jobs of {self._capacity}: {more} more do not fit")
        if word == "IDINUSE":
            return StoreError(f"job id {rest} is already waiting or running under another key")
        return StoreError(f"{self._whom}: refused: {text}")

    def _job(self, fields: Fields) -> Job:
        job_id, key, task, state, attempts, error, episode_id, enqueued_at, labels = fields
        try:
            decoded = self._decode(task)
        except (AiopsError, ValueError) as fault:
            raise StoreError(f"{self._whom}: the task of job {job_id.decode()} can't be read: {fault}") from fault
        return Job(
            job_id.decode(),
            key.decode(),
            decoded,
            JobState(state.decode()),
            int(attempts),
            error.decode(),
            episode_id.decode(),
            from_ns(int(enqueued_at) * NS_PER_MS),
            _parted(labels or b""),
        )


def _parted(labels: bytes) -> tuple[str, ...]:
    return tuple(labels.decode().split("\n")) if labels else ()


def _ms(seconds: float) -> int:
    return min(int(seconds * 1000), HORIZON_MS)


def _whom(client: redis.Redis) -> str:
    """Where the server is, without its secrets."""
    to: dict[str, Any] = client.connection_pool.connection_kwargs
    return str(to["path"]) if "path" in to else f"redis at {to.get('host', 'localhost')}:{to.get('port', 6379)}"
