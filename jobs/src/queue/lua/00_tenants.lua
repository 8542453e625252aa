-- Shared by every operation. KEYS[1] = p, the shard's prefix with its hash tag, such as 'tenantry:{q.0}'.
--  p:V        virtual clock                  p:F         last fence, which is the number of the last claim
--  p:T        HASH tenant -> row             p:e         HASH job id -> record
--  p:L        HASH lane -> number, and '#'number -> lane
--  p:r:LANE   ZSET ready tenants -> start tag            p:mk:LANE  wake marker for BZPOPMIN
--  p:w        ZSET timers: kind..tenant -> ms
--  p:l        ZSET claim -> lease end        p:c:CLAIM   what it claimed     p:n  HASH claim -> jobs left
--  p:W:NAME   ZSET worker -> last seen, by name of lane  p:u:WORKER its last fetch, to answer it again
--  p:t:T:LANE.LEVEL  LIST of waiting ids
--  p:t:T:a           HASH id -> claim: in flight; its size is what the cap limits
--  p:t:T:s :y :k     ZSET id -> due: scheduled, retryable, parked
--  p:t:T:x :q        ZSET id -> since: dead letters, quarantine          p:t:T:z  HASH id -> why it is there
--  p:t:T:g:GROUP     HASH member -> '', c -> continuation, f -> failed   p:t:T:m  HASH id -> its group
--  p:t:T:o           HASH of outcome counters                            p:t:T:f  LIST of ids finished lately
-- A tenant is in the ready index of every lane in which it has waiting jobs, if it may run; else in none.
local call, spack, sunpack, band, bor, fmt, floor, ceil, min, max, smatch, sbyte, ssub
local STRIDE = 10000                 -- virtual cost of one job at weight 1; whole numbers print short
local BIT = {[0] = 1, 2, 4, 8}
local ROW = '<dddddddHBB'            -- vt tat hold w cap emit burst, ctr, st paused; then 3 bytes a lane
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

-- Tenant rows
-- ------------------------------------------------------------------------------------------------------

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

-- Ends an operation that may have made work available: places what changed, writes, wakes one worker per
-- lane.
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
