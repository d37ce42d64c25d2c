"""JobQueue on Redis Streams (Redis 6.2 or newer, Valkey): many workers on many machines.

One stream holds the jobs that wait or run, oldest first; one consumer group hands them out. The group's pending entries
*are* the leases: an entry's idle time starts at `HORIZON - lease`, so a lease has expired when its entry is `HORIZON`
idle, whatever its length, and its delivery count is the job's attempts. Jobs that come back wait as pending entries of the
consumer `WAITING` and go first, in stream order. Each verb is one Lua script, hence atomic. A finished job leaves the
stream (XACK and XDEL); its hash stays until it is purged, and `dead` lists those that were given up.

Durable as the server is: with `appendonly yes` and `appendfsync always` an accepted job survives any crash of it; `ping`
says when the server keeps nothing. Leases are timed by the server's clock.

All keys stand in one hash slot, so a cluster serves as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aiops.domain import NS, Job, JobState, Task, from_ns, to_ns
from aiops.errors import AiopsError, ConfigError, DataError, Overloaded, StoreError

Fields: TypeAlias = Sequence[bytes]

SCHEMA = 1
HORIZON_MS = 30 * 24 * 3600 * 1000
WAITING = "(waiting)"
NS_PER_MS = NS // 1000

# What every script begins with. KEYS[1] is the stream, ARGV[1] the common beginning of all keys.
_COMMON = f"""
local stream, prefix = KEYS[1], ARGV[1]
local group, waiting, horizon = 'workers', '{WAITING}', {HORIZON_MS}
local function at(id) return prefix .. 'job:' .. id end
local function job(id)
  return redis.call('HMGET', at(id), 'id', 'key', 'task', 'state', 'attempts', 'error', 'episode_id', 'enqueued_at')
end
local function active(state) return state == 'queued' or state == 'running' end
-- XLEN counts waiting and running, the group's pending entries those handed out: running, and waiting again.
local function depth()
  local pending = redis.call('XPENDING', stream, group)
  local handed_out = pending[1]
  for _, consumer in ipairs(pending[4] or {{}}) do
    if consumer[1] == waiting then handed_out = handed_out - tonumber(consumer[2]) end
  end
  return redis.call('XLEN', stream) - handed_out
end
local function finish(id, entry, state, error)
  redis.call('XACK', stream, group, entry)
  redis.call('XDEL', stream, entry)
  redis.call('HDEL', prefix .. 'active', redis.call('HGET', at(id), 'key'))
  redis.call('HSET', at(id), 'state', state, 'error', error)
end
if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM') end
"""

# ARGV: prefix, capacity, then id, key, task, state, error, episode_id, enqueued_at of each job.
_PUT = """
local capacity, rows, new, claimed, waiting_more = tonumber(ARGV[2]), {}, {}, {}, 0
for i = 3, #ARGV, 7 do
  local id, key, state = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local known = state == 'queued' and (claimed[key] or redis.call('HGET', prefix .. 'active', key))
  if known then
    rows[#rows + 1] = known
  else
    local holder = redis.call('HMGET', at(id), 'key', 'state')
    if active(holder[2]) or claimed[id .. ' id'] then return redis.error_reply('IDINUSE ' .. id) end
    claimed[id .. ' id'] = true
    if state == 'queued' then claimed[key], waiting_more = id, waiting_more + 1 end
    rows[#rows + 1], new[#new + 1] = id, i
  end
end
local before = depth()
if waiting_more > 0 and before + waiting_more > capacity then
  return redis.error_reply('FULL ' .. before .. ' ' .. waiting_more)
end
for _, i in ipairs(new) do
  local id, key, state = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  -- First of all writes: a server whose memory is full refuses this one, so nothing is stored by halves.
  redis.call('HSET', at(id), 'id', id, 'key', key, 'task', ARGV[i + 2], 'state', state, 'attempts', 0,
             'error', ARGV[i + 4], 'episode_id', ARGV[i + 5], 'enqueued_at', ARGV[i + 6])
  redis.call('ZADD', prefix .. 'recent', redis.call('INCR', prefix .. 'number'), id)
  redis.call('ZADD', prefix .. 'ages', ARGV[i + 6], id)
  if state == 'queued' then
    redis.call('HSET', prefix .. 'active', key, id)
    redis.call('HSET', at(id), 'entry', redis.call('XADD', stream, '*', 'id', id))
  end
end
for i, id in ipairs(rows) do rows[i] = job(id) end
return rows
"""

# ARGV: prefix, worker, lease in ms.
_CLAIM = """
local worker, idle = ARGV[2], horizon - tonumber(ARGV[3])
local back = redis.call('XPENDING', stream, group, '-', '+', 1, waiting)
local entry
if back[1] then
  entry = redis.call('XCLAIM', stream, group, worker, 0, back[1][1])[1]
else
  local read = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', stream, '>')
  entry = read and read[1][2][1]
end
if not entry then return false end
redis.call('XCLAIM', stream, group, worker, 0, entry[1], 'IDLE', idle, 'JUSTID')
local id = entry[2][2]
redis.call('HINCRBY', at(id), 'attempts', 1)
redis.call('HSET', at(id), 'state', 'running', 'worker', worker)
return job(id)
"""

# ARGV: prefix, id, attempts, lease in ms.
_RENEW = """
local held = redis.call('HMGET', at(ARGV[2]), 'attempts', 'state', 'worker', 'entry')
if held[1] ~= ARGV[3] or held[2] ~= 'running' then return 0 end
redis.call('XCLAIM', stream, group, held[3], 0, held[4], 'IDLE', horizon - tonumber(ARGV[4]), 'JUSTID')
return 1
"""

# ARGV: prefix, id, attempts, state, error.
_ACK = """
local id, state = ARGV[2], ARGV[4]
local held = redis.call('HMGET', at(id), 'attempts', 'state', 'entry')
if held[1] ~= ARGV[3] then return 0 end
if not active(held[2]) then return held[2] == state and 1 or 0 end
if state == 'queued' then
  if held[2] == 'running' then redis.call('XCLAIM', stream, group, waiting, 0, held[3], 'JUSTID') end
  redis.call('HSET', at(id), 'state', state, 'error', ARGV[5])
else
  finish(id, held[3], state, ARGV[5])
end
return 1
"""

# ARGV: prefix, max_attempts.
_RECLAIM = """
local expired, cursor = 0, '0-0'
repeat
  local found = redis.call('XAUTOCLAIM', stream, group, waiting, horizon, cursor, 'COUNT', 100, 'JUSTID')
  cursor = found[1]
  for _, entry in ipairs(found[2]) do
    local id = redis.call('XRANGE', stream, entry, entry)[1][2][2]
    local held = redis.call('HMGET', at(id), 'state', 'attempts', 'worker')
    if held[1] == 'running' then
      expired = expired + 1
      if tonumber(held[2]) < tonumber(ARGV[2]) then
        redis.call('HSET', at(id), 'state', 'queued', 'error', '')
      else
        local why = 'given up after ' .. held[2] .. ' attempts, the last by ' .. held[3]
                    .. ', none of which ended within its lease'
        finish(id, entry, 'failed', why)
        redis.call('XADD', prefix .. 'dead', 'MAXLEN', '~', 1000, '*', 'id', id, 'error', why)
      end
    end
  end
until cursor == '0-0'
return expired
"""

# ARGV: prefix, before in ms. Also forgets workers that have held nothing for a day.
_PURGE = """
local gone = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'ages', '-inf', '(' .. ARGV[2])) do
  if not active(redis.call('HGET', at(id), 'state')) then
    redis.call('DEL', at(id))
    redis.call('ZREM', prefix .. 'ages', id)
    redis.call('ZREM', prefix .. 'recent', id)
    gone = gone + 1
  end
end
for _, pairs in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local consumer = {}
  for i = 1, #pairs, 2 do consumer[pairs[i]] = pairs[i + 1] end
  if consumer.pending == 0 and consumer.idle > 86400000 and consumer.name ~= waiting then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
  end
end
return gone
"""

_GET = "return job(ARGV[2])"

_RECENT = """
local ids = redis.call('ZREVRANGE', prefix .. 'recent', 0, tonumber(ARGV[2]) - 1)
for i, id in ipairs(ids) do ids[i] = job(id) end
return ids
"""

_DEPTH = "return depth()"

_SCRIPTS = {
    "put": _PUT,
    "claim": _CLAIM,
    "renew": _RENEW,
    "ack": _ACK,
    "reclaim": _RECLAIM,
    "purge": _PURGE,
    "get": _GET,
    "recent": _RECENT,
    "depth": _DEPTH,
}


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
        self._scripts = {name: self._redis.register_script(_COMMON + text) for name, text in _SCRIPTS.items()}
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
        return tuple(map(self._job, self._run("put", self._capacity, *rows))) if rows else ()

    def claim(self, lease_s: float, worker: str) -> Job | None:
        """The oldest queued job, leased to `worker`; None when there is none. A lease lasts 30 days at most.

        A job whose task can't be decoded (written by another version) is failed with the reason, and the next is taken.
        """
        while (fields := self._run("claim", worker, _ms(lease_s))) is not None:
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
        job_id, key, task, state, attempts, error, episode_id, enqueued_at = fields
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
        )


def _ms(seconds: float) -> int:
    return min(int(seconds * 1000), HORIZON_MS)


def _whom(client: redis.Redis) -> str:
    """Where the server is, without its secrets."""
    to: dict[str, Any] = client.connection_pool.connection_kwargs
    return str(to["path"]) if "path" in to else f"redis at {to.get('host', 'localhost')}:{to.get('port', 6379)}"
