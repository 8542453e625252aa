-- ARGV now, lease_ms, cursor, count, tenant* -> {next cursor, claims that had lost their lease, {damage, what was
-- done, ...}}: compares what is kept of some tenants at a time, and of those named, with what there is: leases, timers,
-- the ready index, lists; and removes rows that say nothing.
-- A claim without a lease gets one, rather than an end: if its worker lives it will renew, else it is reaped.
local now, lease = clock(ARGV[1]), tonumber(ARGV[2])
local page = call('HSCAN', kT, ARGV[3], 'COUNT', ARGV[4])
local v, healed, found = virtual_clock(), 0, {}
local skills = min(floor(call('HLEN', kL) / 3), 256)

local function heal_claims(t)
  local held, k = {}, kt..t..':a'
  local x = call('HGETALL', k)
  for i = 1, #x, 2 do
    local claim = x[i + 1]
    if is_id(x[i]) then
      held[claim] = held[claim] or {}
      table.insert(held[claim], x[i])
    else
      call('HDEL', k, x[i])
      damage('t:'..t, 'dropped what is no id of a job')
    end
  end
  for claim, ids in pairs(held) do
    local key, whole = p..':c:'..claim, true
    if not call('ZSCORE', p..':l', claim) then
      call('ZADD', p..':l', int(now + lease), claim)
      healed, whole = healed + 1, false
    end
    -- What it claimed is written down again as well, if that was lost.
    if not sfind(call('GET', key) or '', ids[1], 1, true) then
      call('APPEND', key, '\n'..t..'\n'..#ids..'\n'..table.concat(ids, '\n')..'\n')
      whole = false
    end
    if not whole or call('HEXISTS', p..':n', claim) == 0 then call('HSET', p..':n', claim, jobs_left(claim)) end
  end
end

-- Slots of types that nobody holds.
local function free_slots(t, s)
  local k = kt..t..':'
  for kind in pairs(caps_of(t, s)) do
    for _, id in ipairs(call('SMEMBERS', k..'a:'..kind)) do
      if call('HEXISTS', k..'a', id) == 0 then
        call('SREM', k..'a:'..kind, id)
        for i = #s.skills, 1, -1 do skill_off(s, s.skills[i], SKILL_CAPPED) end
      end
    end
  end
end

-- Lists that the row does not know of.
local function find_lists(t, s)
  local k, keys, at = kt..t..':', {}, {}
  for skill = 0, skills - 1 do
    for level = 0, LEVELS do
      local key = k..skill..'.'..level
      if not has_jobs(s, skill, level) then
        keys[#keys + 1] = key
        at[#keys] = {skill, level}
      end
      if not in_turns(s, skill, level) then
        keys[#keys + 1] = key..'*'
        at[#keys] = {skill, level, true}
      elseif call('LLEN', key..'*') == 0 then
        set_turns(s, skill, level, false)
        if call('EXISTS', key) == 0 then skill_off(s, skill, BIT[level]) end
      end
    end
  end
  if #keys == 0 or call('EXISTS', unpack(keys)) == 0 then return end
  for i = 1, #keys do
    if call('LLEN', keys[i]) > 0 then
      raise(s, F.branches)
      mark(t, s, at[i][1], at[i][2])
      if at[i][3] then set_turns(s, at[i][1], at[i][2], true) end
    end
  end
end

-- Timers that do not go off when the tenant's first job is due.
local function find_timers(t)
  for kind in pairs(TIMERS) do
    local head = call('ZRANGE', kt..t..':'..kind, 0, 0, 'WITHSCORES')
    if #head > 0 then
      local at, due = tonumber(call('ZSCORE', kw, kind..t) or ''), tonumber(head[2])
      if not at or at > max(due, now) then call('ZADD', kw, int(max(0, min(due, BIG))), kind..t) end
    end
  end
end

-- Whether the tenant is not where its row says it is.
local function misplaced(t, s, na)
  local expected = state_of(s, na, now)
  if s.st == LIMITED then return not call('ZSCORE', kw, 'r'..t) end
  if s.st ~= READY then return s.st ~= expected end
  for i = 1, #s.skills do
    local skill = s.skills[i]
    if open(s.b[skill]) and tonumber(call('ZSCORE', kr..skill, t) or '') ~= tonumber(int(s.vt)) then return true end
  end
  return expected ~= READY
end

local function heal(t, s)
  local na = in_flight(t)
  if na > 0 and na <= 5000 then heal_claims(t); na = in_flight(t) end
  if has(s, F.caps) and na <= 5000 then free_slots(t, s) end
  if has(s, F.unique) then expire_keys(t, s, now, 50) end
  if has(s, F.garbage) and call('EXISTS', p..':gc') == 0 then
    call('HDEL', p..':gn', t)
    lower(s, F.garbage)
  end
  -- A tenant whose job was parked waits for seconds, one with the slowest rate there is for 50 days.
  if s.hold > now + 60000 then s.hold, s.dirty = now, true end
  if s.tat > now + 2 ^ 33 then s.tat, s.dirty = now, true end
  find_timers(t)
  find_lists(t, s)
  if has(s, F.ghosts) and #s.skills == 0 then -- none of them is in a list any more
    call('UNLINK', kt..t..':H')
    lower(s, F.ghosts)
  end
  if not s.dirty and misplaced(t, s, na) then s.dirty, s.at = true, -1 end
  if s.dirty then place(t, s, na, v, now) end
  if s.dirty or (s.st == IDLE and s.fl == 0) then save(t, s, na, v, now) end
end

-- The settings that the row repeats are as they were set.
local function compare_settings(t, s)
  local k = kt..t..':S'
  local set = call('HMGET', k, 'w', 'cap', 'emit', 'burst', 'paused', 'suspended', 'draining')
  local row = {s.w, s.cap, s.emit, s.burst, has(s, F.paused), has(s, F.suspended), has(s, F.draining)}
  local usual = {USUAL.w, USUAL.cap, USUAL.emit, USUAL.burst, false, false, false}
  local written = {}
  for i = 1, 7 do
    local expected = set[i] and (i > 4 or number(set[i])) or usual[i]
    if row[i] ~= expected then
      written[#written + 1] = ({'w', 'cap', 'emit', 'burst', 'paused', 'suspended', 'draining'})[i]
      written[#written + 1] = i > 4 and '1' or int(row[i])
    end
  end
  if #written == 0 then return s end
  -- Settings that are gone as a whole were deleted: the row has some of them.
  if call('EXISTS', k) == 0 then call('HSET', k, unpack(written)); return s end
  return rebuild(t, blank())
end

-- A command for each key of a tenant, so that `call` sees those of a type that they cannot have.
local KEYS_OF = {a = 'HLEN', c = 'HLEN', s = 'ZCARD', y = 'ZCARD', k = 'ZCARD', x = 'ZCARD', q = 'ZCARD', z = 'HLEN',
  m = 'HLEN', u = 'HLEN', U = 'HLEN', v = 'ZCARD', S = 'HLEN', H = 'HLEN'}

local function visit(t, row)
  if found[t] then return end
  found[t] = true
  if not is_name(t) then
    call('HDEL', kT, t)
    damage('T', 'dropped what is no name of a tenant')
    return
  end
  guarded(t, heal, t, row and compare_settings(t, dec(t, row)) or rebuild(t, blank()))
end
for i = 5, #ARGV do
  local t = ARGV[i]
  for name, command in pairs(KEYS_OF) do call(command, kt..t..':'..name) end
  visit(t, call('HGET', kT, t))
end
for i = 1, #page[2], 2 do visit(page[2][i], page[2][i + 1]) end
for _, key in ipairs({kf, kf..'-', ko, ko..'-'}) do call('HLEN', key) end
flush()
for skill in pairs(woken) do wake(skill) end
local damages = call('HSCAN', p..':D', 0, 'COUNT', 20)[2]
for i = 1, #damages, 2 do call('HDEL', p..':D', damages[i]) end
return {page[1], healed, damages}
