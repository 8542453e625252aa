-- Shared by every operation. KEYS[1] = p, the shard's prefix with its hash tag, such as 'tenantry:{q.0}'.
--  p:V          virtual clock          p:F    last fence (= claim number)    p:L  HASH lane name -> number, '#'number -> name
--  p:T          HASH tenant -> row     p:e    HASH job id -> record          p:w  ZSET timers: kind..tenant -> ms
--  p:r:LANE     ZSET ready tenants -> start tag                              p:mk:LANE  wake marker for BZPOPMIN
--  p:l          ZSET claim -> lease end    p:c:CLAIM  what it claimed        p:n  HASH claim -> jobs left
--  p:W:NAME     ZSET worker -> last seen, per lane name                      p:u:WORKER  its last fetch, to answer it again
--  p:t:T:LANE.LEVEL  LIST of waiting ids       p:t:T:a  HASH id -> claim (in flight; its size is what the cap limits)
--  p:t:T:s :y :k     ZSET id -> due: scheduled, retryable, parked
--  p:t:T:x :q        ZSET id -> since: dead letters, quarantine              p:t:T:z  HASH id -> why it is there
--  p:t:T:g:GROUP     HASH member -> '', c -> continuation, f -> failed       p:t:T:m  HASH id -> its group
--  p:t:T:o           HASH of outcome counters                                p:t:T:f  LIST of ids finished lately
-- A tenant is in the ready index of every lane in which it has waiting jobs, if it may run; else in none.
local call, spack, sunpack, band, bor, fmt, floor, ceil, min, max, smatch, sbyte, ssub
local STRIDE = 10000                 -- virtual cost of one job at weight 1; whole numbers print short
local BIT = {[0] = 1, 2, 4, 8}
local ROW = '<dddddddHBB'            -- vt tat hold w cap emit burst | ctr | st paused; then 3 bytes per lane with work
local ROW_BYTES = 60
local IDLE, READY, CAPPED, LIMITED, PAUSED = 0, 1, 2, 3, 4
local KEEP = 10000                   -- dead letters and quarantined jobs kept, per tenant
local RECENT, RECENT_S = 200, 3600   -- finished ids remembered, per tenant
local TIMERS = {s = true, y = true, k = true}
local ARGV, p, kT, kr, kw, ke, kt, kL
local za, zr, wa, wr, hs, woken      -- index writes, collected and made once per call
local lane_of                        -- lane name -> number, as far as this call has asked
local counts                         -- tenant -> outcome -> how often in this call

local function init(keys, args)
  if p ~= keys[1] then
    p = keys[1]
    kT, kr, kw, ke, kt, kL = p..':T', p..':r:', p..':w', p..':e', p..':t:', p..':L'
  end
  if not call then -- while a library loads, Redis 7.0 has neither redis.call nor string, math, struct, bit
    call, spack, sunpack, band, bor = redis.call, struct.pack, struct.unpack, bit.band, bit.bor
    fmt, smatch, sbyte, ssub = string.format, string.match, string.byte, string.sub
    floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
  end
  ARGV, za, zr, wa, wr, hs, woken, lane_of, counts = args, {}, {}, {}, {}, {}, {}, {}, {}
end

local function int(x) return fmt('%.0f', x) end

-- The caller's clock, or Redis' own.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = call('TIME')
  return t[1] * 1000 + floor(t[2] / 1000)
end

local function lane_number(name, create)
  local n = lane_of[name]
  if n then return n end
  n = tonumber(call('HGET', kL, name))
  if not n and create then
    n = floor(call('HLEN', kL) / 2)
    if n > 65535 then error('too many lanes') end
    call('HSET', kL, name, n, '#'..n, name)
  end
  lane_of[name] = n
  return n
end

-- Tenant rows ------------------------------------------------------------------------------------------------------

local function mark(s, lane, level)
  local b = s.b[lane]
  if not b then s.ln[#s.ln + 1] = lane; b = 0 end
  if band(b, BIT[level]) == 0 then s.b[lane] = b + BIT[level]; s.dirty = true end
end

local function clear(s, lane, level)
  local b = s.b[lane] - BIT[level]
  s.dirty = true
  if b > 0 then s.b[lane] = b; return end
  s.b[lane] = nil
  for i = 1, #s.ln do if s.ln[i] == lane then table.remove(s.ln, i); break end end
end

-- A row that cannot be read costs the tenant its settings, never its jobs: what waits is found by looking.
local function rebuild(t, s)
  for lane = 0, min(floor(call('HLEN', kL) / 2), 256) - 1 do
    for level = 0, 3 do
      if call('EXISTS', kt..t..':'..lane..'.'..level) == 1 then mark(s, lane, level) end
    end
    s.idx[lane] = true
  end
  s.at = -1
  s.dirty = true
  return s
end

local function dec(t, x)
  local s = {vt = 0, tat = 0, hold = 0, w = 1, cap = 1e9, emit = 0, burst = 1, ctr = 0, st = IDLE, paused = 0,
    ln = {}, b = {}, idx = {}, at = 0}
  if not x then return s end
  local n = #x
  if n < ROW_BYTES or (n - ROW_BYTES) % 3 ~= 0 then return rebuild(t, s) end
  s.vt, s.tat, s.hold, s.w, s.cap, s.emit, s.burst, s.ctr, s.st, s.paused = sunpack(ROW, x)
  for i = ROW_BYTES + 1, n, 3 do
    local lo, hi, b = sbyte(x, i, i + 2)
    local lane = lo + 256 * hi
    s.ln[#s.ln + 1] = lane
    s.b[lane] = b
    if s.st == READY then s.idx[lane] = true end
  end
  s.at = s.vt
  return s
end

local function enc(s)
  local x = spack(ROW, s.vt, s.tat, s.hold, s.w, s.cap, s.emit, s.burst, s.ctr, s.st, s.paused)
  for i = 1, #s.ln do local lane = s.ln[i]; x = x..string.char(lane % 256, floor(lane / 256), s.b[lane]) end
  return x
end

local function rows(names)
  local S = {}
  if #names == 0 then return S end
  local found = call('HMGET', kT, unpack(names))
  for i = 1, #names do S[names[i]] = dec(names[i], found[i]) end
  return S
end

local function save(t, s) hs[#hs + 1] = t; hs[#hs + 1] = enc(s) end
local function virtual_clock() return tonumber(call('GET', p..':V')) or 0 end
local function in_flight(t) return call('HLEN', kt..t..':a') end

local function blocked_until(s)
  if s.emit == 0 then return s.hold end
  return max(s.hold, ceil(s.tat - (s.burst - 1) * s.emit))
end

-- na = the tenant's jobs in flight
local function state_of(s, na, now)
  if s.paused == 1 then return PAUSED end
  if #s.ln == 0 then return IDLE end
  if na >= s.cap then return CAPPED end
  if blocked_until(s) > now then return LIMITED end
  return READY
end

local function push_to(lists, lane, a, b)
  local x = lists[lane]
  if not x then x = {}; lists[lane] = x end
  x[#x + 1] = a
  x[#x + 1] = b
end

-- The only decision where a tenant is. Writes are collected; call it once per tenant between two flushes.
local function place(t, s, na, v, now)
  local state = state_of(s, na, now)
  if state == READY then
    if s.vt < v then s.vt = v end -- no credit for idle time
    for i = 1, #s.ln do
      local lane = s.ln[i]
      if not s.idx[lane] or s.at ~= s.vt then push_to(za, lane, int(s.vt), t); s.idx[lane] = true end
    end
    for lane in pairs(s.idx) do if not s.b[lane] then push_to(zr, lane, t); s.idx[lane] = nil end end
    s.at = s.vt
  else
    for lane in pairs(s.idx) do push_to(zr, lane, t) end
    s.idx = {}
  end
  if state == LIMITED then wa[#wa + 1] = int(blocked_until(s)); wa[#wa + 1] = 'r'..t
  elseif s.st == LIMITED then wr[#wr + 1] = 'r'..t end
  s.st = state
end

local function flush_index()
  for lane, x in pairs(zr) do call('ZREM', kr..lane, unpack(x)) end
  for lane, x in pairs(za) do call('ZADD', kr..lane, unpack(x)); woken[lane] = true end
  zr, za = {}, {}
end

local function flush()
  flush_index()
  if #wr > 0 then call('ZREM', kw, unpack(wr)) end
  if #wa > 0 then call('ZADD', kw, unpack(wa)) end
  if #hs > 0 then call('HSET', kT, unpack(hs)) end
  wr, wa, hs = {}, {}, {}
end

local function wake(lane) call('ZADD', p..':mk:'..lane, 0, '0') end

-- Ends an operation that may have made work available: places what changed, writes, wakes one worker per lane.
local function settle(names, S, now)
  local v
  for i = 1, #names do
    local t = names[i]
    local s = S[t]
    if s.dirty then
      v = v or virtual_clock()
      place(t, s, in_flight(t), v, now)
      save(t, s)
    end
  end
  flush()
  for lane in pairs(woken) do wake(lane) end
end

-- Where a job is ---------------------------------------------------------------------------------------------------

local function to_list(t, s, lane, level, id, first)
  call(first and 'LPUSH' or 'RPUSH', kt..t..':'..lane..'.'..level, id)
  mark(s, lane, level)
end

local function to_timer(t, kind, due, id)
  call('ZADD', kt..t..':'..kind, int(due), id)
  call('ZADD', kw, 'LT', int(due), kind..t)
end

-- Records: '1' level attempts deaths interruptions parks lane \n tenant \n note \n wire. nil when damaged.
local HEADER = '^1([0-3])(%d%d%d)(%d%d)(%d%d%d)(%d%d)([^\n]*)\n([^\n]*)\n([^\n]*)\n()'
local function parse(val)
  if not val then return nil end
  local level, attempts, deaths, interruptions, parks, lane, tenant, note, at = smatch(val, HEADER)
  if not level then return nil end
  local number = lane_number(lane)
  if not number then return nil end
  return {level = tonumber(level), attempts = tonumber(attempts), deaths = tonumber(deaths),
    interruptions = tonumber(interruptions), parks = tonumber(parks), name = lane, lane = number,
    tenant = tenant, note = note, wire = ssub(val, at)}
end

local function store(id, r)
  call('HSET', ke, id, fmt('1%d%03d%02d%03d%02d%s\n%s\n%s\n%s', r.level, min(r.attempts, 999), min(r.deaths, 99),
    min(r.interruptions, 999), min(r.parks, 99), r.name, r.tenant, r.note, r.wire))
end

local function count(t, outcome, n)
  local c = counts[t]
  if not c then c = {}; counts[t] = c end
  c[outcome] = (c[outcome] or 0) + n
end

local function flush_counts()
  for t, c in pairs(counts) do
    for outcome, n in pairs(c) do call('HINCRBY', kt..t..':o', outcome, n) end
  end
  counts = {}
end

-- Keeps a job that will not run by itself: kind x = dead letter, q = quarantine. The oldest makes room.
local function keep(t, kind, id, why, now)
  local k = kt..t..':'
  call('ZADD', k..kind, int(now), id)
  call('HSET', k..'z', id, why)
  local over = call('ZCARD', k..kind) - KEEP
  if over > 0 then
    local old = call('ZPOPMIN', k..kind, min(over, 100))
    for i = 1, #old, 2 do call('HDEL', ke, old[i]); call('HDEL', k..'z', old[i]) end
  end
  count(t, kind == 'x' and 'discarded' or 'quarantined', 1)
end

-- Groups -----------------------------------------------------------------------------------------------------------

local function group_join(t, group, id)
  local k = kt..t..':'
  if call('HEXISTS', k..'g:'..group, 'c') == 0 then return end
  if call('HSETNX', k..'m', id, group) == 1 then call('HSET', k..'g:'..group, id, '') end
end

-- Enqueues the continuation when nobody is left. The group is gone then, so it cannot happen twice.
local function group_close(t, s, group, now)
  local key = kt..t..':g:'..group
  if call('HLEN', key) > 2 then return end
  local id, due, record = smatch(call('HGET', key, 'c') or '', '^([^\n]*)\n([^\n]*)\n(.*)$')
  call('DEL', key)
  if not id then return end
  if call('HSETNX', ke, id, record) == 0 then return end
  local r = parse(record)
  if not r then keep(t, 'q', id, 'record_damaged\nthe continuation of a group cannot be read', now)
  elseif tonumber(due) > now then to_timer(t, 's', tonumber(due), id)
  else to_list(t, s, r.lane, r.level, id) end
end

-- The job has reached a final state.
local function group_leave(t, s, id, failed, now)
  local k = kt..t..':'
  local group = call('HGET', k..'m', id)
  if not group then return end
  call('HDEL', k..'m', id)
  if call('HDEL', k..'g:'..group, id) == 0 then return end
  if failed then call('HINCRBY', k..'g:'..group, 'f', 1) end
  group_close(t, s, group, now)
end

-- A job's record cannot be read: it is put aside and the next one runs.
local function put_aside(t, s, id, now)
  keep(t, 'q', id, 'record_damaged\nthe queue\'s own record of the job cannot be read', now)
  group_leave(t, s, id, true, now)
end

-- Enqueues the n pairs (id, record) at ARGV[at..], which share tenant, lane, level, due time and group ('' = none).
-- An id that the queue has is left alone. Returns how many were new.
local function enqueue_block(now, t, s, lane_name, level, due, group, at, n)
  local ids, lane = {}, lane_number(lane_name, true)
  for i = 1, n do ids[i] = ARGV[at + 2 * i - 2] end
  local known, new, seen = call('HMGET', ke, unpack(ids)), {}, {}
  for i = 1, n do
    local id = ids[i]
    if known[i] or seen[id] then
      local k = kt..t..':'
      local over = call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)
      if group ~= '' and not over then group_join(t, group, id) end
    else
      seen[id] = true
      new[#new + 1] = id
      if group ~= '' then group_join(t, group, id) end
    end
  end
  if #new == 0 then return 0 end
  if #new == n then call('HSET', ke, unpack(ARGV, at, at + 2 * n - 1))
  else
    for i = 1, n do if not known[i] then call('HSETNX', ke, ids[i], ARGV[at + 2 * i - 1]) end end
  end
  if due > now then
    local z = {}
    for i = 1, #new do z[2 * i - 1] = int(due); z[2 * i] = new[i] end
    call('ZADD', kt..t..':s', unpack(z))
    call('ZADD', kw, 'LT', int(due), 's'..t)
  else
    call('RPUSH', kt..t..':'..lane..'.'..level, unpack(new))
    mark(s, lane, level)
  end
  return #new
end
