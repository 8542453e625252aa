-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, n (at most 500), lease_ms, quantum, worker, attempt, floor, ceiling, (skill, its queue)*
-- -> {claim, lines: (tenant, count, id*)*, us charged for each job of the first tenant and so on, V, next, records}
--  | {0, ms to the next timer or '', more, {skill number, ...}, V, next}
-- With a turn (ceiling not ''): V rises to floor first, nobody with a start tag above ceiling is served except the
-- first, and next is the start tag of who would be served next, '' for nobody. Ceiling 'I' is for newcomers: only tenants
-- that have nothing in flight are served, out of turn, as far as they are among the first.
-- Of a few jobs the records come along, in the order of their ids, which saves a trip. Of many they are {}, and the
-- caller reads them with a plain HMGET: through Lua they would cost three times as much, and the record of a claimed
-- job is not removed. A caller that got no answer asks with the same attempt number and gets the same claim.
-- Exact start-time fair queueing over the heads of the declared skills' ready indexes.
local FEW = 32 -- with more, the trip costs less than Lua
local now, n, lease, Q = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ku = p..':u:'..ARGV[5]
local again, again_claim, charges = smatch(call('GET', ku) or '', '^(%d+) (%d+)(.*)$')
if again == ARGV[6] and call('ZSCORE', p..':l', again_claim) then
  return {tonumber(again_claim), call('GET', p..':c:'..again_claim) or '', charges, '0', '0', {}}
end

local skills, numbers, kind_of = {}, {}, {} -- those that may be served, all, skill -> job type
local paused = call('EXISTS', p..':P') == 1
for i = 9, #ARGV, 2 do
  local skill = skill_number(ARGV[i], ARGV[i + 1])
  numbers[#numbers + 1] = skill
  if not paused or call('HGET', p..':P', queue_of(skill)) ~= 'paused' then
    skills[#skills + 1] = skill
    kind_of[skill] = type_of(ARGV[i])
  end
end
local v0, with_turn, newcomers, S, order = virtual_clock(), ARGV[8] ~= '', ARGV[8] == 'I', {}, {}
local v = with_turn and max(v0, tonumber(ARGV[7])) or v0
local ceiling = tonumber(ARGV[8]) or 1 / 0

-- 1. timers, bounded: 16 tenants with 50 jobs each
local function promote(t, s, kind)
  local k = kt..t..':'..kind
  local ids = call('ZRANGEBYSCORE', k, '-inf', int(now), 'LIMIT', 0, 50)
  if #ids > 0 then
    call('ZREM', k, unpack(ids))
    local vals = call('HMGET', ke, unpack(ids))
    for j = 1, #ids do
      local r = parse(own(t, vals[j]))
      if r then to_list(t, s, r, ids[j]) else put_aside(t, s, ids[j], now) end
    end
  end
  local head = call('ZRANGE', k, 0, 0, 'WITHSCORES')
  -- What is left over goes behind the other tenants' timers.
  if #head == 0 then call('ZREM', kw, kind..t)
  else call('ZADD', kw, int(max(tonumber(head[2]), now)), kind..t) end
end
local due = call('ZRANGEBYSCORE', kw, '-inf', int(now), 'LIMIT', 0, 16)
local timed = {}
for i = 1, #due do
  local kind, t = ssub(due[i], 1, 1), ssub(due[i], 2)
  local s = S[t]
  if not s and is_name(t) then
    s = dec(t, call('HGET', kT, t))
    s.na = in_flight(t)
    S[t] = s
    order[#order + 1] = t
    timed[#timed + 1] = t
  end
  -- A timer that cannot go off is not looked at for ever: `heal` sets it again.
  if not s or not TIMERS[kind] or not guarded(t, promote, t, s, kind) then call('ZREM', kw, due[i]) end
end
for i = 1, #timed do local t = timed[i]; place(t, S[t], S[t].na, v, now) end
flush_index()

-- 2. visits. Cost: HLEN, LPOP, HSET per tenant; the rest once per window.
local ids, ni, G, left, visits, maxv, nl = {}, 0, {}, n, 0, 2 * n + 16, #skills
-- Without those that were cancelled while they waited.
local function without_ghosts(t, s, x)
  local k, living, ghosts = kt..t..':H', {}, {}
  local skills_of_ghosts = call('HMGET', k, unpack(x))
  for i = 1, #x do
    if skills_of_ghosts[i] then ghosts[#ghosts + 1] = x[i] else living[#living + 1] = x[i] end
  end
  if #ghosts > 0 then call('HDEL', k, unpack(ghosts)) end
  if call('EXISTS', k) == 0 then lower(s, F.ghosts) end
  return living
end
-- How many more jobs of a type with a cap of its own may start. When there is none left, its skills close until
-- `free` opens them.
local function room(t, s, kind)
  local cap = caps_of(t, s)[kind]
  if not cap then return 1 / 0 end
  local left_over = cap - call('SCARD', kt..t..':a:'..kind)
  if left_over <= 0 then
    for j = 1, nl do
      if kind_of[skills[j]] == kind and s.b[skills[j]] then skill_on(s, skills[j], SKILL_CAPPED) end
    end
  end
  return max(0, left_over)
end
-- Without what cannot be an id.
local function only_ids(t, x)
  local ids_in = {}
  for i = 1, #x do if #x[i] == ID_BYTES then ids_in[#ids_in + 1] = x[i] end end
  damage('t:'..t, 'dropped what is no id of a job')
  return ids_in
end
-- Pops from one level; returns the jobs, and whether there may be more.
local function pop(t, s, skill, level, want)
  local capped = has(s, F.caps) and caps_of(t, s)[kind_of[skill]]
  if capped then want = min(want, room(t, s, kind_of[skill])) end
  if want <= 0 then return {}, true end
  local x, more_left = take_waiting(t, s, skill, level, want)
  for i = 1, #x do if #x[i] ~= ID_BYTES then x = only_ids(t, x); break end end
  if #x > 0 and has(s, F.ghosts) then x = without_ghosts(t, s, x) end
  if #x > 0 and has(s, F.unique) then unlock(t, s, x, 'started') end
  if #x > 0 and capped then
    call('SADD', kt..t..':a:'..kind_of[skill], unpack(x))
    room(t, s, kind_of[skill])
  end
  return x, more_left
end
local function take_from(t, s, level, first, want)
  local got = 0
  for j = 0, nl - 1 do
    local skill = skills[(first + j) % nl + 1]
    if open(s.b[skill]) and has_jobs(s, skill, level) then
      local x, more_left = pop(t, s, skill, level, want - got)
      local m = #x
      for i = 1, m do ids[ni + i] = x[i] end
      ni = ni + m
      got = got + m
      if not more_left then emptied(s, skill, level) end
      if got >= want then break end
    end
  end
  return got
end
-- One visit; returns how many jobs were taken.
local function serve(t, s)
  if s.vt < v then s.vt = v end
  if not newcomers then v = s.vt end -- who is passed over keeps his place
  local take = min(left, Q, s.cap - s.na)
  if s.emit > 0 then take = min(take, s.burst - ceil(max(0, s.tat - now) / s.emit)) end
  if take <= 0 then return 0 end
  -- Every 8th visit starts at level 1, 2, 3 in turn so that nothing starves; the first skill goes round as
  -- well.
  local c = (s.ctr + 1) % 65536
  s.ctr = c
  local lane, turn, levels = lane_of(s, c)
  local reserved, m = turn % 8 == 0, floor(turn / 8)
  local level, first = lane, (turn - m) % nl
  if reserved then level, first = lane + m % 3 + 1, floor(m / 3) % nl end
  local got = take_from(t, s, level, first, take)
  for i = 0, levels - 1 do
    if got >= take then break end
    local l = (lane + i) % 8
    if l ~= level then got = got + take_from(t, s, l, first, take - got) end
  end
  if got == 0 then return 0 end
  local each = floor(price(s, now))
  G[#G + 1] = t
  G[#G + 1] = got
  G[#G + 1] = each
  left = left - got
  s.na = s.na + got
  charge(s, got * each)
  if s.emit > 0 then s.tat = max(s.tat, now) + got * s.emit end
  return got
end
local function servable(s)
  if state_of(s, s.na, now) ~= READY then return false end
  for j = 1, nl do if open(s.b[skills[j]]) then return true end end
  return false
end
local function by_tag(a, b)
  local x, y = S[a].vt, S[b].vt
  if x == y then return a < b end
  return x < y
end
-- The heads of the declared skills, smallest start tag first, and the tag up to which no tenant is missing.
local function window(want)
  local T, seen, absent, last, heads, contributors = {}, {}, {}, {}, {}, 0
  for j = 1, nl do
    local z = call('ZRANGE', kr..skills[j], 0, want - 1)
    if #z > 0 then contributors = contributors + 1 end
    for i = 1, #z do
      local t = z[i]
      if not seen[t] then
        seen[t] = true
        if is_name(t) then
          T[#T + 1] = t
          if not S[t] then absent[#absent + 1] = t end
        else call('ZREM', kr..skills[j], t) end
      end
    end
    if #z == want and is_name(z[want]) then last[#last + 1] = z[want] end
    heads[j] = z
  end
  local found = #absent > 0 and call('HMGET', kT, unpack(absent)) or {}
  -- A tenant that is ready has a row: it is made again from what waits.
  for i = 1, #absent do S[absent[i]] = found[i] and dec(absent[i], found[i]) or rebuild(absent[i], blank()) end
  -- One that should not be in a skill's index is placed when it is its turn.
  for j = 1, nl do
    for i = 1, #heads[j] do
      local s = S[heads[j][i]]
      if s and not s.idx[skills[j]] then s.idx[skills[j]] = true; s.at = -1 end
    end
  end
  if contributors > 1 then table.sort(T, by_tag) end
  local H = 1 / 0
  for i = 1, #last do H = min(H, S[last[i]].vt) end
  return T, H
end
while left > 0 and visits < maxv and nl > 0 do
  local T, H = window(newcomers and NEWCOMERS or min(ceil(left / Q) + 1, 100))
  local m, j, touched, was = #T, 1, {}, {}
  if m == 0 then break end
  while j <= m and left > 0 and (j == 1 or S[T[j]].vt <= H) do
    local t = T[j]
    local s = S[t]
    if ni > 0 and max(s.vt, v) > ceiling then left = 0; break end -- another shard comes first
    visits = visits + 1
    local got, na = 0, s.na or in_flight(t)
    if not newcomers or na == 0 then
      if not s.na then s.na = na; order[#order + 1] = t end
      if not was[t] then was[t] = true; touched[#touched + 1] = t end
      local ok, taken = guarded(t, serve, t, s)
      got = ok and taken or 0
    end
    if got > 0 and s.vt <= H and left > 0 and servable(s) then -- still small: serve again, in order
      local i = m
      while i > j and S[T[i]].vt > s.vt do T[i + 1] = T[i]; i = i - 1 end
      T[i + 1] = t
      m = m + 1
    end
    j = j + 1
  end
  for i = 1, #touched do local t = touched[i]; place(t, S[t], S[t].na, v, now) end
  flush_index()
  if newcomers then break end
end

-- 3. one claim, one lease, one record for the whole batch
local claim, claimed
if ni > 0 then
  -- Microseconds since 1970 at least, so that a fence never comes again after a failover that lost the last
  -- ones.
  claim = int(max((number(call('GET', p..':F')) or 0) + 1, now * 1000))
  call('SET', p..':F', claim)
  local o, rec, charged = 0, {}, {}
  for g = 1, #G, 3 do
    local t, c, inflight, m = G[g], G[g + 1], {}, 0
    for j = o + 1, o + c do
      inflight[m + 1] = ids[j]
      inflight[m + 2] = claim
      m = m + 2
    end
    rec[g], rec[g + 1], rec[g + 2] = t, c, table.concat(ids, '\n', o + 1, o + c)
    o = o + c
    charged[#charged + 1] = int(G[g + 2])
    call('HSET', kt..t..':a', unpack(inflight))
  end
  claimed, charges = table.concat(rec, '\n'), table.concat(charged, ' ')
  call('SET', p..':c:'..claim, claimed)
  call('ZADD', p..':l', int(now + lease), claim)
  call('HSET', p..':n', claim, ni)
  call('SET', ku, ARGV[6]..' '..claim..' '..charges, 'PX', int(lease))
end
for j = 1, #order do local t = order[j]; save(t, S[t], S[t].na, v, now) end
flush()
flush_counts()
if v > v0 then call('SET', p..':V', int(v)) end
local more, next_tag = 0, 1 / 0
for j = 1, nl do
  if call('EXISTS', kr..skills[j]) == 1 then
    more = 1
    if with_turn then
      local z = call('ZRANGE', kr..skills[j], 0, 0, 'WITHSCORES')
      next_tag = min(next_tag, max(v, tonumber(z[2])))
    end
    if claim then wake(skills[j]) end -- another worker may help
  end
  woken[skills[j]] = nil
end
for skill in pairs(woken) do wake(skill) end
local upcoming = next_tag < 1 / 0 and int(next_tag) or ''
if claim then
  local records = ni <= FEW and call('HMGET', ke, unpack(ids, 1, ni)) or {}
  return {tonumber(claim), claimed, charges, int(v), upcoming, records}
end
local head = call('ZRANGE', kw, 0, 0, 'WITHSCORES')
return {0, head[2] and int(max(0, tonumber(head[2]) - now)) or '', more, numbers, int(v), upcoming}
