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

-- What a shard remembers of ended work
-- -----------------------------------------------------------------------------------------------------------

local function count(t, outcome, n)
  local c = counts[t]
  if not c then c = {}; counts[t] = c end
  c[outcome] = (c[outcome] or 0) + n
end

-- Of the two generations of a hash the older one makes room, once the newer one is full.
local function make_room(key, most)
  if call('HLEN', key) >= most then
    call('UNLINK', key..'-')
    call('RENAME', key, key..'-')
  end
end

-- The value of each field, of the newer generation or else of the older.
local function of_both(key, fields)
  local values, absent, at = call('HMGET', key, unpack(fields)), {}, {}
  for i = 1, #fields do
    if not values[i] then absent[#absent + 1] = fields[i]; at[#at + 1] = i end
  end
  if #absent > 0 then
    local older = call('HMGET', key..'-', unpack(absent))
    for i = 1, #absent do values[at[i]] = older[i] end
  end
  return values
end

-- How many jobs ended how: completed, cancelled, discarded, quarantined.
local function unpacked(totals)
  if not totals or #totals ~= 32 then return 0, 0, 0, 0 end
  local completed, cancelled, discarded, quarantined = sunpack(COUNTED, totals)
  return number(completed) or 0, number(cancelled) or 0, number(discarded) or 0, number(quarantined) or 0
end

local function totals_of(t) return unpacked(of_both(ko, {t})[1]) end

-- How a job ended lately: 'completed', 'cancelled', or nil.
local function ending_of(t, id)
  local how = of_both(kf, {id})[1]
  if how == '+'..t then return 'completed' end
  return how == '-'..t and 'cancelled' or nil
end

local function flush_ended()
  for from = 1, #ended, 4000 do call('HSET', kf, unpack(ended, from, min(from + 3999, #ended))) end
  if #ended > 0 then make_room(kf, RECENT) end
  ended = {}
end

-- Writes what this call has counted and noted.
local function flush_counts()
  local names = {}
  for t in pairs(counts) do names[#names + 1] = t end
  for from = 1, #names, 2000 do
    local some, fields = {unpack(names, from, min(from + 1999, #names))}, {}
    local known = of_both(ko, some)
    for i = 1, #some do
      local c, completed, cancelled, discarded, quarantined = counts[some[i]], unpacked(known[i])
      fields[2 * i - 1] = some[i]
      fields[2 * i] = spack(COUNTED, completed + (c.completed or 0), cancelled + (c.cancelled or 0),
        discarded + (c.discarded or 0), quarantined + (c.quarantined or 0))
    end
    call('HSET', ko, unpack(fields))
    make_room(ko, TOTALS)
  end
  counts = {}
  flush_ended()
end

-- Notes how jobs of a tenant ended: how = '+' or '-' and its name.
local function remember(how, ids, from, to)
  local n = #ended
  for i = from, to do
    ended[n + 1], ended[n + 2] = ids[i], how
    n = n + 2
  end
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
