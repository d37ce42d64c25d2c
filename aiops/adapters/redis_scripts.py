"""The Lua scripts of the queue on Redis: one for each verb, hence each verb atomic. `redis_queue` says how the queue is kept.

KEYS[1] is the stream of jobs without labels, ARGV[1] the common beginning of all keys; the rest of ARGV is told at each.
"""

from __future__ import annotations

from datetime import timedelta

from aiops.ports import HEAD_START, MOST_DELIVERED

HORIZON_MS = 30 * 24 * 3600 * 1000
WAITING = "(waiting)"
ASKED = "!"  # no label begins with it
REMEMBERED_MS = 3600_000  # a worker that went silent

# What every script begins with.
_COMMON = f"""
local base, prefix = KEYS[1], ARGV[1]
local group, waiting, horizon = 'workers', '{WAITING}', {HORIZON_MS}
local asked, most_delivered, head_start = '{ASKED}', {MOST_DELIVERED}, {HEAD_START // timedelta(milliseconds=1)}
local function at(id) return prefix .. 'job:' .. id end
local function job(id)
  return redis.call('HMGET', at(id), 'id', 'key', 'task', 'state', 'attempts', 'error', 'episode_id', 'enqueued_at', 'labels')
end
local function active(state) return state == 'queued' or state == 'running' end
-- A lane is called as the labels of its jobs, with `asked` before them where somebody asked for those.
local function lane(name)
  local stream = base
  if name and name ~= '' then stream = base .. ':' .. name end
  if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM') end
  return stream
end
local function lanes()
  local all = redis.call('SMEMBERS', prefix .. 'lanes')
  all[#all + 1] = ''
  all[#all + 1] = asked
  return all
end
local function labels_of(name) return (string.gsub(name, '^' .. asked, '')) end
-- Jobs of schema 2 have no lane of their own: it is that of their labels.
local function lane_of(id)
  local held = redis.call('HMGET', at(id), 'lane', 'labels')
  return lane(held[1] or held[2])
end
-- XLEN counts waiting and running, the group's pending entries those handed out: running, and waiting again.
local function depth_of(name)
  local stream = lane(name)
  local pending = redis.call('XPENDING', stream, group)
  local handed_out = pending[1]
  for _, consumer in ipairs(pending[4] or {{}}) do
    if consumer[1] == waiting then handed_out = handed_out - tonumber(consumer[2]) end
  end
  return redis.call('XLEN', stream) - handed_out
end
local function depth()
  local sum = 0
  for _, name in ipairs(lanes()) do sum = sum + depth_of(name) end
  return sum
end
local function finish(id, entry, state, error)
  local stream = lane_of(id)
  redis.call('XACK', stream, group, entry)
  redis.call('XDEL', stream, entry)
  redis.call('HDEL', prefix .. 'active', redis.call('HGET', at(id), 'key'))
  redis.call('HSET', at(id), 'state', state, 'error', error)
  redis.call('DEL', prefix .. 'result:' .. id)
  redis.call('ZREM', prefix .. 'delivered', id)
end
-- The oldest of a lane: what has come back, in its old place, then what nobody has had yet.
local function head(stream)
  local back = redis.call('XPENDING', stream, group, '-', '+', 1, waiting)
  if back[1] then return back[1][1], true end
  local about = redis.call('XINFO', 'GROUPS', stream)[1]
  for i = 1, #about, 2 do
    if about[i] == 'last-delivered-id' then
      local unread = redis.call('XRANGE', stream, '(' .. about[i + 1], '+', 'COUNT', 1)
      return unread[1] and unread[1][1], false
    end
  end
end
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

# ARGV: prefix, capacity, then id, key, task, state, error, episode_id, enqueued_at, labels of each job.
_PUT = """
local capacity, rows, new, claimed, waiting_more = tonumber(ARGV[2]), {}, {}, {}, 0
for i = 3, #ARGV, 8 do
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
  local id, key, state, labels = ARGV[i], ARGV[i + 1], ARGV[i + 3], ARGV[i + 7]
  local name = (ARGV[i + 5] == '' and asked or '') .. labels
  -- First of all writes: a server whose memory is full refuses this one, so nothing is stored by halves.
  redis.call('HSET', at(id), 'id', id, 'key', key, 'task', ARGV[i + 2], 'state', state, 'attempts', 0, 'lapses', 0,
             'error', ARGV[i + 4], 'episode_id', ARGV[i + 5], 'enqueued_at', ARGV[i + 6], 'labels', labels, 'lane', name)
  redis.call('ZADD', prefix .. 'recent', redis.call('INCR', prefix .. 'number'), id)
  redis.call('ZADD', prefix .. 'ages', ARGV[i + 6], id)
  if state == 'queued' then
    redis.call('HSET', prefix .. 'active', key, id)
    if labels ~= '' then redis.call('SADD', prefix .. 'lanes', name) end
    redis.call('HSET', at(id), 'entry', redis.call('XADD', lane(name), '*', 'id', id))
  end
end
for i, id in ipairs(rows) do rows[i] = job(id) end
return rows
"""

# ARGV: prefix, worker, lease in ms, then its labels.
_CLAIM = """
if redis.call('ZCARD', prefix .. 'delivered') >= most_delivered then return false end
local worker, idle, mine = ARGV[2], horizon - tonumber(ARGV[3]), {}
for i = 4, #ARGV do mine[ARGV[i]] = true end
local function fits(labels)
  for label in string.gmatch(labels, '[^\\n]+') do
    if not mine[label] then return false end
  end
  return true
end
-- The oldest that somebody asked for, and the oldest of an episode.
local first = {}
for _, name in ipairs(lanes()) do
  if fits(labels_of(name)) then
    local stream = lane(name)
    local entry, back = head(stream)
    if entry then
      local id = redis.call('XRANGE', stream, entry, entry)[1][2][2]
      local number = tonumber(redis.call('ZSCORE', prefix .. 'recent', id))
      local held = redis.call('HMGET', at(id), 'episode_id', 'enqueued_at')
      local kind = held[1] == '' and 'question' or 'episode'
      if not first[kind] or number < first[kind].number then
        first[kind] = {number = number, at = tonumber(held[2]), stream = stream, again = back and entry}
      end
    end
  end
end
local best = first.question or first.episode
if not best then return false end
if first.question and first.episode and first.episode.at + head_start < first.question.at then best = first.episode end
local stream, entry = best.stream
if best.again then
  entry = redis.call('XCLAIM', stream, group, worker, 0, best.again)[1]
else
  entry = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', stream, '>')[1][2][1]
end
redis.call('XCLAIM', stream, group, worker, 0, entry[1], 'IDLE', idle, 'JUSTID')
local id = entry[2][2]
redis.call('HINCRBY', at(id), 'attempts', 1)
redis.call('HSET', at(id), 'state', 'running', 'worker', worker, 'lease', ARGV[3])
return job(id)
"""

# ARGV: prefix, id, attempts, lease in ms.
_RENEW = """
local held = redis.call('HMGET', at(ARGV[2]), 'attempts', 'state', 'worker', 'entry')
if held[1] ~= ARGV[3] or held[2] ~= 'running' then return 0 end
redis.call('XCLAIM', lane_of(ARGV[2]), group, held[3], 0, held[4], 'IDLE', horizon - tonumber(ARGV[4]), 'JUSTID')
redis.call('HSET', at(ARGV[2]), 'lease', ARGV[4])
return 1
"""

# ARGV: prefix, id, attempts, state, error.
_ACK = """
local id, state = ARGV[2], ARGV[4]
local held = redis.call('HMGET', at(id), 'attempts', 'state', 'entry')
if held[1] ~= ARGV[3] then return 0 end
if not active(held[2]) then return held[2] == state and 1 or 0 end
if state == 'queued' then
  if held[2] == 'running' then redis.call('XCLAIM', lane_of(id), group, waiting, 0, held[3], 'JUSTID') end
  redis.call('HSET', at(id), 'state', state, 'error', ARGV[5])
else
  finish(id, held[3], state, ARGV[5])
end
return 1
"""

# ARGV: prefix, id, attempts, result. The job leaves its stream, hence no lease of it can expire.
_DELIVER = """
local id = ARGV[2]
local held = redis.call('HMGET', at(id), 'attempts', 'state', 'entry')
if held[1] ~= ARGV[3] or not active(held[2]) then return 0 end
redis.call('SET', prefix .. 'result:' .. id, ARGV[4])
redis.call('ZADD', prefix .. 'delivered', redis.call('ZSCORE', prefix .. 'recent', id), id)
local stream = lane_of(id)
redis.call('XACK', stream, group, held[3])
redis.call('XDEL', stream, held[3])
redis.call('HSET', at(id), 'state', 'running')
return 1
"""

# ARGV: prefix, how many.
_DELIVERED = """
local found = redis.call('ZRANGE', prefix .. 'delivered', 0, tonumber(ARGV[2]) - 1)
for i, id in ipairs(found) do found[i] = {job(id), redis.call('GET', prefix .. 'result:' .. id)} end
return found
"""

# ARGV: prefix, name, time to live in ms, what it says of itself.
_ANNOUNCE = """
if tonumber(ARGV[3]) > 0 then
  redis.call('HSET', prefix .. 'workers', ARGV[2], (now_ms() + tonumber(ARGV[3])) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
else
  redis.call('HDEL', prefix .. 'workers', ARGV[2])
end
return 1
"""

_WORKERS = f"""
local told, now, rows = redis.call('HGETALL', prefix .. 'workers'), now_ms(), {{}}
for i = 1, #told, 2 do
  local till, ttl, words = string.match(told[i + 1], '^(%d+) (%d+) (.*)$')
  local left = tonumber(till) - now  -- more than it was told when the clock was put back since
  if left + {REMEMBERED_MS} < 0 then
    redis.call('HDEL', prefix .. 'workers', told[i])
  else
    rows[#rows + 1] = {{told[i], words, left > 0 and left <= tonumber(ttl) and 1 or 0}}
  end
end
return rows
"""

# ARGV: prefix, max_attempts. A claim that has been idle for less than it began with was made before the server's clock was put
# back: its lease begins anew, else it would last for as long as the clock went back.
_RECLAIM = """
local expired = 0
for _, name in ipairs(lanes()) do
  local stream = lane(name)
  for _, claim in ipairs(redis.call('XPENDING', stream, group, '-', '+', 10000)) do
    if claim[2] ~= waiting then
      local id = redis.call('XRANGE', stream, claim[1], claim[1])[1][2][2]
      local begun = horizon - tonumber(redis.call('HGET', at(id), 'lease') or horizon)
      if claim[3] < begun then
        redis.call('XCLAIM', stream, group, claim[2], 0, claim[1], 'IDLE', begun, 'JUSTID')
      end
    end
  end
end
for _, name in ipairs(lanes()) do
  local stream, cursor = lane(name), '0-0'
  repeat
    local found = redis.call('XAUTOCLAIM', stream, group, waiting, horizon, cursor, 'COUNT', 100, 'JUSTID')
    cursor = found[1]
    for _, entry in ipairs(found[2]) do
      local id = redis.call('XRANGE', stream, entry, entry)[1][2][2]
      local held = redis.call('HMGET', at(id), 'state', 'worker')
      if held[1] == 'running' then
        expired = expired + 1
        -- A claim that was given back, as while a source is away, is no attempt that failed.
        local lapses = redis.call('HINCRBY', at(id), 'lapses', 1)
        if lapses < tonumber(ARGV[2]) then
          redis.call('HSET', at(id), 'state', 'queued', 'error', '')
        else
          local why = 'given up after ' .. lapses .. ' attempts, the last by ' .. held[2]
                      .. ', none of which ended within its lease'
          finish(id, entry, 'failed', why)
          redis.call('XADD', prefix .. 'dead', 'MAXLEN', '~', 1000, '*', 'id', id, 'error', why)
        end
      end
    end
  until cursor == '0-0'
end
return expired
"""

# ARGV: prefix, before in ms. Also forgets lanes that are empty, and workers that have held nothing for a day.
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
for _, name in ipairs(lanes()) do
  local stream = lane(name)
  if labels_of(name) ~= '' and redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream)
    redis.call('SREM', prefix .. 'lanes', name)
  else
    for _, pairs in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      local consumer = {}
      for i = 1, #pairs, 2 do consumer[pairs[i]] = pairs[i + 1] end
      if consumer.pending == 0 and consumer.idle > 86400000 and consumer.name ~= waiting then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
      end
    end
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

_LANES = """
local counts, found = {}, {}
for _, name in ipairs(lanes()) do
  local labels = labels_of(name)
  counts[labels] = (counts[labels] or 0) + depth_of(name)
end
for labels, count in pairs(counts) do
  if count > 0 then found[#found + 1] = {labels, count} end
end
return found
"""

_OLDEST = """
local first
for _, name in ipairs(lanes()) do
  local stream = lane(name)
  local entry = head(stream)
  if entry then
    local id = redis.call('XRANGE', stream, entry, entry)[1][2][2]
    local at_ms = tonumber(redis.call('HGET', at(id), 'enqueued_at'))
    if not first or at_ms < first then first = at_ms end
  end
end
return first and tostring(first) or false
"""

_VERBS = {
    "put": _PUT,
    "claim": _CLAIM,
    "renew": _RENEW,
    "ack": _ACK,
    "deliver": _DELIVER,
    "delivered": _DELIVERED,
    "announce": _ANNOUNCE,
    "workers": _WORKERS,
    "reclaim": _RECLAIM,
    "purge": _PURGE,
    "get": _GET,
    "recent": _RECENT,
    "depth": "return depth()",
    "lanes": _LANES,
    "oldest": _OLDEST,
}
SCRIPTS = {name: _COMMON + text for name, text in _VERBS.items()}
