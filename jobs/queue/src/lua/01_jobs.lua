-- Where a job is
-- ---------------------------------------------------------------------------------------------------

-- Where in a record the skill begins, and behind a tab the branch, if the job has one.
local SKILL_AT = 17

local function branch_of(record) return smatch(record, '^[^\n\t]*\t([^\n]*)', SKILL_AT) or '' end

-- The branch of the jobs in a list of one branch, by its first job; nil when that cannot be read.
local function branch_in(t, s, key)
  local id = call('LINDEX', key, 0)
  local record = id and call('HGET', ke, id)
  if record then return branch_of(record) end
  local ghost = id and has(s, F.ghosts) and call('HGET', kt..t..':H', id)
  return ghost and (smatch(ghost, '\t(.*)$') or '')
end

-- Puts jobs of one branch at the end of their list or, given back, at its start. As long as all jobs of a level are of
-- one branch they are in one list. When another branch comes, each gets a list of its own, and they take turns.
local function into(t, s, skill, level, branch, ids, first)
  local key, push = kt..t..':'..skill..'.'..level, first and 'LPUSH' or 'RPUSH'
  if branch ~= '' then raise(s, F.branches) end
  if not in_turns(s, skill, level) then
    local there = has(s, F.branches) and has_jobs(s, skill, level) and branch_in(t, s, key)
    if not there or there == branch then
      call(push, key, unpack(ids))
      mark(t, s, skill, level)
      return
    end
    if call('RENAMENX', key, key..'/'..there) == 0 then -- it was there: its turn was lost
      repeat
        local some = call('LPOP', key, 500)
        if some then call('RPUSH', key..'/'..there, unpack(some)) end
      until not some
    end
    call('RPUSH', key..'*', there)
  end
  if call('LLEN', key..'*') >= MOST_BRANCHES and call('EXISTS', key..'/'..branch) == 0 then branch = '' end
  local n = call(push, key..'/'..branch, unpack(ids))
  -- A list that was there has its turn, unless the turns were lost.
  if n == #ids or not call('LPOS', key..'*', branch) then call(push, key..'*', branch) end
  mark(t, s, skill, level)
  set_turns(s, skill, level, true)
end

local function to_list(t, s, r, id, first) into(t, s, r.skill, r.level, r.branch, {id}, first) end

local function to_timer(t, kind, due, id)
  call('ZADD', kt..t..':'..kind, int(due), id)
  call('ZADD', kw, 'LT', int(due), kind..t)
end

-- Records: '2', or '3' once redriven, level attempts deaths interruptions parks epoch skill [\t branch] \n tenant \n
-- note \n wire. nil when damaged.
local HEADER = '^([23])([0-7])(%d%d%d)(%d%d)(%d%d%d)(%d%d)(%d%d%d%d)([^\n]*)\n([^\n]*)\n([^\n]*)\n()'
local function parse(val)
  if not val then return nil end
  local layout, level, attempts, deaths, interruptions, parks, epoch, label, tenant, note, at = smatch(val, HEADER)
  if not level then return nil end
  local skill, branch = smatch(label, '^([^\t]*)\t?(.*)$')
  local number = skill_number(skill)
  if not number then return nil end
  return {level = tonumber(level), attempts = tonumber(attempts), deaths = tonumber(deaths),
    interruptions = tonumber(interruptions), parks = tonumber(parks), epoch = tonumber(epoch), name = skill,
    skill = number, label = label, branch = branch, tenant = tenant, note = note, redriven = layout == '3',
    wire = ssub(val, at), size = #val}
end

-- A record, unless it is another tenant's: then it is none, and no more is done about it than about none, so that how
-- long an answer takes says as little as the answer.
local function own(t, val)
  local tenant = val and select(9, smatch(val, HEADER))
  if not tenant or tenant == t then return val end
  return nil
end

-- Removes a job's record, unless it says that it is another tenant's: then only the id is here.
local function forget(t, id)
  if own(t, call('HGET', ke, id)) then call('HDEL', ke, id) end
end

-- A new record, for the tenant's present epoch: what has another was called off with all its tenant's work.
local function stamped(s, record)
  if s.ep == 0 then return record end
  return ssub(record, 1, 12)..fmt('%04d', s.ep)..ssub(record, 17)
end

-- Bytes of the tenant's open jobs, kept only while there is a quota for them.
local function weigh(s, bytes)
  if bytes ~= 0 and has(s, F.bytes) then s.bytes = max(0, s.bytes + bytes); s.dirty = true end
end

local function store(s, id, r)
  local counters = fmt('%d%d%03d%02d%03d%02d%04d', r.redriven and 3 or 2, r.level, min(r.attempts, 999), min(r.deaths, 99),
    min(r.interruptions, 999), min(r.parks, 99), r.epoch)
  local val = counters..r.label..'\n'..r.tenant..'\n'..r.note..'\n'..r.wire
  call('HSET', ke, id, val)
  weigh(s, #val - r.size)
end

local function count(t, outcome, n)
  local c = counts[t]
  if not c then c = {}; counts[t] = c end
  c[outcome] = (c[outcome] or 0) + n
end

local function flush_counts()
  for t, c in pairs(counts) do
    local k = kt..t..':o'
    for outcome, n in pairs(c) do
      if call('HINCRBY', k, outcome, n) == n then call('EXPIRE', k, RECENT_S) end
    end
  end
  counts = {}
end

-- Notes how n jobs ended: ids, those that were cancelled with a '-'. A large batch among many leaves the trimming,
-- and what is to be forgotten when, to one of the next: a call costs as much as three jobs.
local function remember(t, n, ...)
  local k = kt..t..':'
  local length = call('LPUSH', k..'f', ...)
  if n > 4 and length > RECENT / 2 and length < 2 * RECENT then return end
  if length > RECENT then call('LTRIM', k..'f', 0, RECENT - 1) end
  call('EXPIRE', k..'f', RECENT_S)
  call('EXPIRE', k..'o', RECENT_S)
end

-- What a claim has claimed: tenant and ids in turn, as far as it is written down as we write it.
local function claimed_by(claim)
  local rec, parts, at = call('GET', p..':c:'..claim) or '', {}, 1
  while true do
    local t, c, from = smatch(rec, '^\n*([^\n]+)\n(%d%d?%d?%d?)\n()', at)
    if not t then return parts end
    local ids = {}
    for j = 1, tonumber(c) do
      local id = ssub(rec, from, from + ID_BYTES - 1)
      if #id < ID_BYTES then break end
      ids[j], from = id, from + ID_BYTES + 1
    end
    if #ids > 0 then parts[#parts + 1] = t; parts[#parts + 1] = ids end
    at = from
  end
end

-- How many of the jobs that a claim has written down it still holds.
local function jobs_left(claim)
  local parts, left = claimed_by(claim), 0
  for i = 1, #parts, 2 do
    local ids = parts[i + 1]
    for from = 1, #ids, 500 do
      local holders = call('HMGET', kt..parts[i]..':a', unpack(ids, from, min(from + 499, #ids)))
      for j = 1, #holders do if holders[j] == claim then left = left + 1 end end
    end
  end
  return left
end

-- Slots
-- -------------------------------------------------------------------------------------------------------------

-- type -> cap, for the types that have one of their own
local function caps_of(t, s)
  if not s.caps then
    s.caps = {}
    local x = call('HGETALL', kt..t..':S')
    for i = 1, #x, 2 do
      local kind = smatch(x[i], '^k:(.*)$')
      if kind then s.caps[kind] = number(x[i + 1]) end
    end
  end
  return s.caps
end

-- Jobs are in flight no longer. Returns which of them somebody wanted cancelled, or nil.
local function freed(t, s, ids)
  local k = kt..t..':'
  if s.st == CAPPED then s.dirty = true end
  if has(s, F.caps) then
    for kind in pairs(caps_of(t, s)) do call('SREM', k..'a:'..kind, unpack(ids)) end
    for i = #s.skills, 1, -1 do skill_off(s, s.skills[i], SKILL_CAPPED) end
  end
  if not has(s, F.cancels) then return nil end
  local claims, wanted = call('HMGET', k..'c', unpack(ids)), nil
  for i = 1, #ids do
    if claims[i] then
      wanted = wanted or {}
      wanted[ids[i]] = true
      call('ZREM', p..':s', claims[i]..' '..ids[i])
    end
  end
  if wanted then
    call('HDEL', k..'c', unpack(ids))
    if call('EXISTS', k..'c') == 0 then lower(s, F.cancels) end
  end
  return wanted
end

local function free(t, s, ids)
  call('HDEL', kt..t..':a', unpack(ids))
  return freed(t, s, ids)
end

-- Unique keys live and die with their jobs
-- ------------------------------------------------------------------------------------------------------------

-- Jobs have ended: their keys are free, but for those that were taken for a period. when = 'started': only those
-- that were taken until the start; 'kept': they may start again, and take their keys again then.
local function unlock(t, s, ids, when)
  if not has(s, F.unique) then return end
  local k = kt..t..':'
  local held = call('HMGET', k..'U', unpack(ids))
  for i = 1, #ids do
    local scope, key = smatch(held[i] or '', '^(.)(.*)$')
    if scope and (scope == 's' or when ~= 'started') then
      if scope ~= 'p' and smatch(call('HGET', k..'u', key) or '', ' (.*)$') == ids[i] then
        call('HDEL', k..'u', key)
      end
      if when ~= 'kept' then call('HDEL', k..'U', ids[i]) end
    end
  end
  if call('EXISTS', k..'u', k..'U') == 0 then lower(s, F.unique) end
end

-- Forgets keys whose period is over.
local function expire_keys(t, s, now, limit)
  local k = kt..t..':'
  local old = call('ZRANGEBYSCORE', k..'v', '-inf', int(now), 'LIMIT', 0, limit)
  if #old > 0 then call('HDEL', k..'u', unpack(old)); call('ZREM', k..'v', unpack(old)) end
  if call('EXISTS', k..'u', k..'U') == 0 then lower(s, F.unique) end
end

-- The id of the job that has a key. What lost its record or was cancelled with its tenant has nothing any more.
local function holder_of(t, s, now, key)
  local till, holder = smatch(call('HGET', kt..t..':u', key) or '', '^(%S+) (.*)$')
  if not holder or not is_id(holder) then return nil end
  if till ~= '-' then return (tonumber(till) or 0) > now and holder or nil end
  local r = parse(own(t, call('HGET', ke, holder)))
  return r and r.epoch == s.ep and holder or nil
end

-- Takes a key for a job; or returns the id of the job that has it.
local function lock(t, s, now, id, scope, key, period_ms)
  local k = kt..t..':'
  expire_keys(t, s, now, 10)
  local holder, till = holder_of(t, s, now, key), '-'
  if holder and holder ~= id then return holder end
  if scope == 'p' then
    till = int(now + period_ms)
    call('ZADD', k..'v', till, key)
  else
    call('ZREM', k..'v', key) -- the end of an older job's period would free it
  end
  call('HSET', k..'u', key, till..' '..id)
  call('HSET', k..'U', id, scope..key)
  raise(s, F.unique)
end

-- Jobs that will not run by themselves
-- ------------------------------------------------------------------------------------------------------------

-- Kind x = dead letter, q = quarantine. The oldest makes room.
local function keep(t, s, kind, id, why, now)
  local k = kt..t..':'
  call('ZADD', k..kind, int(now), id)
  call('HSET', k..'z', id, why)
  if has(s, F.bytes) then weigh(s, -call('HSTRLEN', ke, id)) end
  unlock(t, s, {id}, 'kept')
  local over = call('ZCARD', k..kind) - KEEP
  if over > 0 then
    local old = call('ZPOPMIN', k..kind, min(over, 100))
    for i = 1, #old, 2 do forget(t, old[i]); call('HDEL', k..'z', old[i]); call('HDEL', k..'U', old[i]) end
  end
  count(t, kind == 'x' and 'discarded' or 'quarantined', 1)
end
