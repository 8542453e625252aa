-- Shared by every operation. KEYS[1] = p, the shard's prefix with its hash tag, such as 'tenantry:{q.0}'.
--  p:V        virtual clock                  p:F         last fence, which is the number of the last claim
--  p:shards   how many there are, or from>to while that is being changed
--  p:T        HASH tenant -> row             p:e         HASH job id -> record
--  p:L        HASH skill -> number, '#'number -> skill, '@'number -> its queue
--  p:P        HASH queue -> paused | draining, for all tenants
--  p:r:SKILL   ZSET ready tenants -> start tag            p:mk:SKILL  wake marker for BZPOPMIN
--  p:w        ZSET timers: kind..tenant -> ms
--  p:l        ZSET claim -> lease end        p:c:CLAIM   what it claimed     p:n  HASH claim -> jobs left
--  p:s        ZSET running work to stop -> since: claim id | * tenant claim
--  p:gc       LIST heaps that are to be swept      p:gn HASH tenant -> how many of them
--  p:D        HASH damaged key, or what of it -> what was done about it; `heal` reports and empties it
--  p:f  p:f-  HASH id -> + or - and its tenant: finished or cancelled lately, and those before
--  p:o  p:o-  HASH tenant -> how many of its jobs ended how, of the tenants that were active lately, and before
--  p:W:NAME   ZSET worker -> last seen, by name of skill  p:u:WORKER its last fetch, to answer it again
--  p:t:T:SKILL.LEVEL  LIST of waiting ids, as long as all of them are of one branch; else
--  p:t:T:SKILL.LEVEL* LIST of branches in turn    p:t:T:SKILL.LEVEL/BRANCH  LIST of waiting ids of each
--  p:t:T:H           HASH ghost, an id in them that was cancelled -> skill and branch
--  p:t:T:a           HASH id -> claim: in flight; its size is what the cap limits
--  p:t:T:a:TYPE      SET of ids in flight of a type that has a cap of its own
--  p:t:T:c           HASH id -> claim: in flight and to be cancelled
--  p:t:T:s :y :k     ZSET id -> due: scheduled, retryable, parked
--  p:t:T:x :q        ZSET id -> since: dead letters, quarantine          p:t:T:z  HASH id -> why it is there
--  p:t:T:g:GROUP     HASH member -> '' | group before it, c -> continuation, f -> failed, p -> policy
--  p:t:T:m           HASH id -> group
--  p:t:T:u :U :v     HASH unique key -> until id; HASH id -> scope key; ZSET key -> until
--  p:t:T:S           HASH of settings: w cap emit burst qj qb qs ep paused suspended draining, k:TYPE -> cap,
--                    p:QUEUE -> paused | draining
--  p:t:T:r           HASH second -> how often the tenant asked in it; expires with its window
-- Anything of it may be damaged, by an operator or by an attacker: what is damaged of one tenant must not keep
-- an operation from going on with the others. `call` removes a key of a type that it cannot have, `dec` makes a row
-- again that cannot be true, what is read as a number goes through `number`, and `guarded` runs one tenant's part.
-- A tenant is in the ready index of every skill in which it has jobs that may start, if it may run; else in none.
local rcall, spack, sunpack, band, fmt, floor, ceil, min, max, smatch, sbyte, ssub, schar, sfind
local ltype, lpcall
local US = 100                       -- virtual time of a microsecond of worker time at weight 1
local LEAST_US, UNKNOWN_US = 100, 1000 -- what a job costs at least, and before anything was measured
local MOST_US = 1e12                 -- and at most, when it starts: 11 days
-- Levels 0 to 3 are the priorities of the interactive lane, 4 to 7 those of the bulk lane.
local LEVELS, BULK = 7, 4
local BIT = {[0] = 1, 2, 4, 8, 16, 32, 64, 128} -- of a skill: which levels have jobs,
local SKILL_PAUSED, SKILL_CAPPED = 256, 512 -- and why none of them may start
local BULK_TURN = 5                  -- every fifth visit is for bulk, while interactive jobs wait as well
local MOST_BRANCHES = 1000           -- that take turns in a level; what comes of others shares a turn
local ROW = '<ddddddddddHHHB'        -- vt tat hold credit w cap emit burst est bytes, ctr ep fl, st
local ROW_BYTES = 87                 -- then, 3 bytes each: number of a skill, with what is said of it in the upper
local SAYS_BULK, SAYS_TURNS, NUMBERS = 1, 2, 16384 -- two bits, and that: 0 = interactive levels and why they are closed
local IDLE, READY, CAPPED, LIMITED, PAUSED = 0, 1, 2, 3, 4
local UNCAPPED = 1e9
local BIG = 2 ^ 53                   -- numbers from here on are not exact, and none of ours
local LATEST = 2 ^ 63                -- but virtual time, which passes for every worker at once
local DEBT = 1e15                    -- how far a tenant's tag may be ahead of the clock: 115 days of worker time
local ID_BYTES = 36                  -- a UUID: claims are read by this width
local DAMAGES = 1000                 -- reports of damage that are kept
-- Flags of a row: how the tenant is held, and which keys exist, so that what is not used costs nothing.
local F = {paused = 1, suspended = 2, draining = 4, ghosts = 8, cancels = 16, groups = 32, unique = 64,
  quotas = 128, caps = 256, queues = 512, garbage = 1024, bytes = 2048, branches = 4096}
local HELD = 3
local NEWCOMERS = 16                 -- among how many of the first tenants newcomers are looked for
local KEEP = 10000                   -- dead letters and quarantined jobs kept, per tenant
-- What a shard remembers of ended work, in two generations: so many ids, and totals of so many tenants, each. An idle
-- tenant has no key.
local RECENT, TOTALS = 5000, 10000
local COUNTED = '<dddd'              -- completed, cancelled, discarded, quarantined
local TIMERS = {s = true, y = true, k = true}
local ARGV, p, kT, kr, kw, ke, kt, kL, kf, ko
local za, zr, wa, wr, hs, hd, woken  -- writes to indexes and rows, collected and made once per call
local skill_of                        -- skill name -> number, as far as this call has asked
local counts                         -- tenant -> outcome -> how often in this call
local ended                          -- id, how it ended: in this call

local function init(keys, args)
  if p ~= keys[1] then
    p = keys[1]
    kT, kr, kw, ke, kt, kL = p..':T', p..':r:', p..':w', p..':e', p..':t:', p..':L'
    kf, ko = p..':f', p..':o'
  end
  if not rcall then -- while a library loads, Redis 7.0 has neither redis.call nor string, math, struct, bit
    rcall, spack, sunpack, band = redis.pcall, struct.pack, struct.unpack, bit.band
    fmt, smatch, sbyte, ssub, schar = string.format, string.match, string.byte, string.sub, string.char
    sfind, ltype, lpcall = string.find, type, pcall
    floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
  end
  ARGV, za, zr, wa, wr, hs, hd, woken, skill_of, counts, ended = args, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}
end

-- Notes damage for `heal` to report. What is noted already is not noted again.
local function damage(what, done)
  local k = p..':D'
  local n = rcall('HLEN', k)
  if ltype(n) == 'table' then rcall('UNLINK', k); n = 0 end
  if n < DAMAGES then rcall('HSETNX', k, what, done) end
end

-- A command failed. A key of ours that has a type, or a field that holds a text, which it never has, was written from
-- outside: it is removed, and the command is repeated. An operation that may not write fails; `heal` mends it.
local function mended(failure, command, key, ...)
  local why, done = failure.err or '', nil
  if ltype(key) == 'string' and ssub(key, 1, #p + 1) == p..':' then
    if sfind(why, 'WRONGTYPE', 1, true) then done = rcall('UNLINK', key)
    elseif command == 'HINCRBY' and (sfind(why, 'hash value', 1, true) or sfind(why, 'overflow', 1, true)) then
      done = rcall('HDEL', key, (...))
    elseif command == 'INCR' then done = rcall('SET', key, fmt('%.0f', rcall('TIME')[1] * 1000000)) end
  end
  if not done or ltype(done) == 'table' and done.err then error(failure) end
  damage(ssub(key, #p + 2), 'removed: '..why)
  local answer = rcall(command, key, ...)
  if ltype(answer) == 'table' and answer.err then error(answer) end
  return answer
end

local function call(...)
  local answer = rcall(...)
  if ltype(answer) == 'table' and answer.err then return mended(answer, ...) end
  return answer
end

-- A number that may have been written by hand, or nil.
local function number(x)
  x = tonumber(x)
  return x and x >= 0 and x < BIG and x or nil
end

-- Whether jobs can have this id. What is none was never pushed.
local function is_id(id) return #id == ID_BYTES and not sfind(id, '[^%w%-]') end

-- Whether a tenant can be called so. Claims are written by lines.
local function is_name(t) return t ~= '' and not sfind(t, '[\n\128-\255]') end

-- Runs the part of an operation that concerns one tenant. An error in it ends this part, not the operation.
local function guarded(t, part, ...)
  local ok, answer = lpcall(part, ...)
  if ok then return true, answer end
  damage('t:'..t, 'skipped: '..tostring(ltype(answer) == 'table' and answer.err or answer))
  return false
end

-- What to answer when this shard belongs to a queue of another number of shards, or one that is being changed:
-- tenants may have their keys elsewhere. A shard that has lost everything takes the caller's number.
local function other_layout(may_write)
  local known = call('GET', p..':shards')
  if known == SHARDS then return nil end
  if known then return redis.error_reply('SHARDS '..known) end
  if may_write then call('SET', p..':shards', SHARDS) end
  return nil
end

local function int(x) return fmt('%.0f', x) end

-- The caller's clock, or Redis' own.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = call('TIME')
  return t[1] * 1000 + floor(t[2] / 1000)
end

local function skill_number(name, queue)
  local n = skill_of[name]
  if n then return n end
  n = tonumber(call('HGET', kL, name))
  if not n and queue then
    n = floor(call('HLEN', kL) / 3)
    if n >= NUMBERS then error('too many skills') end
    call('HSET', kL, name, n, '#'..n, name, '@'..n, queue)
  end
  skill_of[name] = n
  return n
end

local function type_of(skill_name) return smatch(skill_name, '^(.*)@') or skill_name end

-- Tenant rows
-- ------------------------------------------------------------------------------------------------------

local function has(s, flag) return band(s.fl, flag) ~= 0 end

local function raise(s, flag)
  if band(s.fl, flag) == 0 then s.fl = s.fl + flag; s.dirty = true end
end

local function lower(s, flag)
  if band(s.fl, flag) ~= 0 then s.fl = s.fl - flag; s.dirty = true end
end

-- Whether jobs of a skill may start, as far as the skill is concerned.
local function open(b) return b and b > 0 and b < SKILL_PAUSED end

local function skill_on(s, skill, bit)
  local b = s.b[skill]
  if not b then s.skills[#s.skills + 1] = skill; b = 0 end
  if band(b, bit) == 0 then s.b[skill] = b + bit; s.dirty = true end
end

local function skill_off(s, skill, bit)
  local b = s.b[skill]
  if not b or band(b, bit) == 0 then return end
  b = b - bit
  s.dirty = true
  if b > 0 then s.b[skill] = b; return end
  s.b[skill], s.turns[skill] = nil, nil
  for i = 1, #s.skills do if s.skills[i] == skill then table.remove(s.skills, i); break end end
  if #s.skills == 0 then lower(s, F.branches) end -- nothing waits
end

-- Whether a level has jobs; and whether they are of several branches, which take turns.
local function has_jobs(s, skill, level) return band(s.b[skill] or 0, BIT[level]) ~= 0 end
local function in_turns(s, skill, level) return band(s.turns[skill] or 0, BIT[level]) ~= 0 end

local function set_turns(s, skill, level, on)
  if in_turns(s, skill, level) == on then return end
  local x = (s.turns[skill] or 0) + (on and 1 or -1) * BIT[level]
  s.turns[skill] = x > 0 and x or nil
  s.dirty = true
end

-- The lists in which jobs of a level wait.
local function lists_of(t, s, skill, level)
  local key = kt..t..':'..skill..'.'..level
  if not in_turns(s, skill, level) then return {key} end
  local out = call('LRANGE', key..'*', 0, MOST_BRANCHES)
  for i = 1, #out do out[i] = key..'/'..out[i] end
  return out
end

-- The one of them in which jobs of a branch wait.
local function list_of(t, s, skill, level, branch)
  local key = kt..t..':'..skill..'.'..level
  return in_turns(s, skill, level) and key..'/'..branch or key
end

-- How many jobs wait in a level, with those that were cancelled there.
local function length_of(t, s, skill, level)
  local lists, n = lists_of(t, s, skill, level), 0
  for i = 1, #lists do n = n + call('LLEN', lists[i]) end
  return n
end

local function queue_of(skill) return call('HGET', kL, '@'..skill) or '' end

local function mark(t, s, skill, level)
  if not s.b[skill] and has(s, F.queues) and call('HGET', kt..t..':S', 'p:'..queue_of(skill)) == 'paused' then
    skill_on(s, skill, SKILL_PAUSED)
  end
  skill_on(s, skill, BIT[level])
end

local function blank()
  return {vt = 0, tat = 0, hold = 0, credit = 0, w = 1, cap = UNCAPPED, emit = 0, burst = 1, est = 0, bytes = 0,
    ctr = 0, ep = 0, fl = 0, st = IDLE, skills = {}, b = {}, turns = {}, idx = {}, at = 0}
end

local USUAL = {w = 1, cap = UNCAPPED, emit = 0, burst = 1, ep = 0} -- settings that the row repeats
local LEAST, MOST = {w = 1, burst = 1}, {w = 10000, cap = 2 ^ 32, ep = 9999}

-- A row that cannot be read is made again from the settings and from what waits.
local function rebuild(t, s)
  local k = kt..t..':'
  local set = call('HGETALL', k..'S')
  for i = 1, #set, 2 do
    local name, value = set[i], set[i + 1]
    local n = number(value)
    if n and USUAL[name] and n >= (LEAST[name] or 0) and n <= (MOST[name] or BIG) then s[name] = n end
    if F[name] then raise(s, F[name]) end
    if smatch(name, '^q') then raise(s, F.quotas) end
    if name == 'qb' then raise(s, F.bytes) end
  end
  if call('HEXISTS', p..':gn', t) == 1 then raise(s, F.garbage) end
  if call('EXISTS', k..'u', k..'U') > 0 then raise(s, F.unique) end
  for flag, key in pairs({ghosts = 'H', cancels = 'c', groups = 'm', caps = 'S', queues = 'S'}) do
    if call('EXISTS', k..key) == 1 then raise(s, F[flag]) end
  end
  for skill = 0, min(floor(call('HLEN', kL) / 3), 256) - 1 do
    for level = 0, LEVELS do
      local key = k..skill..'.'..level
      if call('EXISTS', key..'*') == 1 then
        mark(t, s, skill, level)
        set_turns(s, skill, level, true)
      elseif call('EXISTS', key) == 1 then mark(t, s, skill, level) end
    end
    s.idx[skill] = true
  end
  if #s.skills > 0 then raise(s, F.branches) end -- there may be some
  s.at = -1
  s.dirty = true
  return s
end

local function dec(t, x)
  local s = blank()
  if not x then
    -- No row is kept that says nothing; of one that has settings it was lost.
    if call('EXISTS', kt..t..':S') == 1 then return rebuild(t, s) end
    return s
  end
  local n = #x
  if n < ROW_BYTES or (n - ROW_BYTES) % 3 ~= 0 then return rebuild(t, s) end
  local vt, tat, hold, credit, w, cap, emit, burst, est, bytes, ctr, ep, fl, st = sunpack(ROW, x)
  -- Whether it can be one that we wrote. Nothing compares with what is no number.
  if not (vt >= 0 and vt < LATEST and tat >= 0 and tat < BIG and hold >= 0 and hold < BIG and credit >= 0
    and credit < 10 * MOST_US and w >= 1 and w <= 10000 and cap >= 0 and cap < BIG and emit >= 0 and emit < BIG
    and burst >= 1 and burst < BIG and est > -BIG and est < BIG and bytes >= 0 and bytes < BIG and ep <= 9999
    and st <= PAUSED) then
    return rebuild(t, s)
  end
  s.vt, s.tat, s.hold, s.credit, s.w, s.cap, s.emit, s.burst = vt, tat, hold, credit, w, cap, emit, burst
  s.est, s.bytes, s.ctr, s.ep, s.fl, s.st = est, bytes, ctr, ep, fl, st
  for i = ROW_BYTES + 1, n, 3 do
    local lo, hi, b = sbyte(x, i, i + 2)
    local says = floor(hi / 64)
    local skill = lo + 256 * (hi - 64 * says)
    if says == 0 and not s.b[skill] and b < 64 then
      s.skills[#s.skills + 1] = skill
      s.b[skill] = b < 16 and b or b % 16 + 16 * (b - b % 16)
    elseif says == SAYS_BULK and s.b[skill] and band(s.b[skill], 240) == 0 and b < 16 then
      s.b[skill] = s.b[skill] + 16 * b
    elseif says == SAYS_TURNS and s.b[skill] and not s.turns[skill] and b > 0 then s.turns[skill] = b
    else return rebuild(t, blank()) end
    if s.st == READY and open(s.b[skill]) then s.idx[skill] = true end
  end
  s.at = s.vt
  return s
end

local function enc(s)
  local x = spack(ROW, s.vt, s.tat, s.hold, s.credit, s.w, s.cap, s.emit, s.burst, s.est, s.bytes, s.ctr, s.ep,
    s.fl, s.st)
  for i = 1, #s.skills do
    local skill = s.skills[i]
    local b, turns, lo, hi = s.b[skill], s.turns[skill], skill % 256, floor(skill / 256)
    if b < 16 then x = x..schar(lo, hi, b)
    else
      local bulk = floor(b / 16) % 16
      x = x..schar(lo, hi, b % 16 + 16 * floor(b / SKILL_PAUSED))
      if bulk > 0 then x = x..schar(lo, hi + 64 * SAYS_BULK, bulk) end
    end
    if turns then x = x..schar(lo, hi + 64 * SAYS_TURNS, turns) end
  end
  return x
end

local function rows(names)
  local S = {}
  if #names == 0 then return S end
  local found = call('HMGET', kT, unpack(names))
  for i = 1, #names do S[names[i]] = dec(names[i], found[i]) end
  return S
end

local function virtual_clock()
  local v = tonumber(call('GET', p..':V'))
  return v and v >= 0 and v < LATEST and v or 0
end
local function in_flight(t) return call('HLEN', kt..t..':a') end
local function no_timers(t) local k = kt..t..':'; return call('EXISTS', k..'s', k..'y', k..'k') == 0 end

-- Writes the row; or removes it when nothing would be different without it.
local function save(t, s, na, v, now)
  if s.st == IDLE and na == 0 and #s.skills == 0 and (s.fl == 0 or has(s, F.bytes)) and no_timers(t) then
    s.bytes = 0 -- whatever was miscounted ends here
    if s.fl == 0 and s.w == 1 and s.cap == UNCAPPED and s.emit == 0 and s.hold <= now and s.vt <= v then
      if s.ep ~= 0 then call('DEL', kt..t..':S') end
      hd[#hd + 1] = t
      return
    end
  end
  hs[#hs + 1] = t
  hs[#hs + 1] = enc(s)
end

local function blocked_until(s)
  if s.emit == 0 then return s.hold end
  return max(s.hold, ceil(s.tat - (s.burst - 1) * s.emit))
end

-- na = the tenant's jobs in flight
local function state_of(s, na, now)
  if has(s, HELD) then return PAUSED end
  local work = false
  for i = 1, #s.skills do if open(s.b[s.skills[i]]) then work = true; break end end
  if not work then return IDLE end
  if na >= s.cap then return CAPPED end
  if blocked_until(s) > now then return LIMITED end
  return READY
end

local function push_to(lists, skill, a, b)
  local x = lists[skill]
  if not x then x = {}; lists[skill] = x end
  x[#x + 1] = a
  x[#x + 1] = b
end

-- The only decision where a tenant is. Writes are collected; call it once per tenant between two flushes.
local function place(t, s, na, v, now)
  local state = state_of(s, na, now)
  if state == READY then
    if s.vt < v then s.vt = v end -- no credit for idle time
    if s.vt > v + DEBT then s.vt = v + DEBT end -- more is damage
    for i = 1, #s.skills do
      local skill = s.skills[i]
      if open(s.b[skill]) and (not s.idx[skill] or s.at ~= s.vt) then
        push_to(za, skill, int(s.vt), t)
        s.idx[skill] = true
      end
    end
    for skill in pairs(s.idx) do if not open(s.b[skill]) then push_to(zr, skill, t); s.idx[skill] = nil end end
    s.at = s.vt
  else
    for skill in pairs(s.idx) do push_to(zr, skill, t) end
    s.idx = {}
  end
  if state == LIMITED then wa[#wa + 1] = int(blocked_until(s)); wa[#wa + 1] = 'r'..t
  elseif s.st == LIMITED then wr[#wr + 1] = 'r'..t end
  s.st = state
end

local function flush_index()
  for skill, x in pairs(zr) do call('ZREM', kr..skill, unpack(x)) end
  for skill, x in pairs(za) do call('ZADD', kr..skill, unpack(x)); woken[skill] = true end
  zr, za = {}, {}
end

local function flush()
  flush_index()
  if #wr > 0 then call('ZREM', kw, unpack(wr)) end
  if #wa > 0 then call('ZADD', kw, unpack(wa)) end
  if #hs > 0 then call('HSET', kT, unpack(hs)) end
  if #hd > 0 then call('HDEL', kT, unpack(hd)) end
  wr, wa, hs, hd = {}, {}, {}, {}
end

local function wake(skill) call('ZADD', p..':mk:'..skill, 0, '0') end

-- Ends an operation that may have made work available: places what changed, writes, wakes one worker per
-- skill.
local function settle(names, S, now)
  local v
  for i = 1, #names do
    local t = names[i]
    local s = S[t]
    if s.dirty then
      v = v or virtual_clock()
      local na = in_flight(t)
      place(t, s, na, v, now)
      save(t, s, na, v, now)
    end
  end
  flush()
  for skill in pairs(woken) do wake(skill) end
end

-- Charges worker time that was not foreseen, or remembers what was charged too much: that pays for later jobs,
-- because a tag that went back would undo what `place` has decided.
local function charge(s, delta_us)
  if delta_us == 0 then return end
  if delta_us < 0 then s.credit = s.credit - delta_us
  else
    local paid = min(s.credit, delta_us)
    s.credit = s.credit - paid
    s.vt = s.vt + floor((delta_us - paid) * US / s.w)
  end
  s.dirty = true
end

-- What one job is likely to cost. est: 0 = nothing was ever started; -ms = what started then goes on.
local function estimate(s)
  if s.est <= 0 then return UNKNOWN_US end
  return s.est
end

-- What to charge for a job that starts. Jobs of which none has ended yet take longer than they have so far: a
-- newcomer would take every worker for the price of a short job.
local function price(s, now)
  if s.est > 0 then return min(s.est, MOST_US) end
  if s.est == 0 or s.na == 0 then s.est = -now end
  return min(max(UNKNOWN_US, 2000 * (now + s.est)), MOST_US)
end
