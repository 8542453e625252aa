-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, then blocks; the jobs in them are counted from 1 in the order given:
--  'c' claim tenant count bytes id*        completed; bytes = of their records together
--  'x' | 'q' claim tenant id why           dead letter | quarantine; why = code \n text
--  'd' claim tenant id                     dropped
--  'r' claim tenant id after_ms note       retry: attempts + 1
--  'h' claim tenant id after_ms note       waits for a service: parks + 1, and its tenant goes on
--  'p' claim tenant id jitter_ms note      parked: the tenant waits 1 to 5 s, longer each time for this job
--  'u' claim tenant id                     given back: interruptions + 1, first of its list
--  'w' tenant delta_us count total_us      worker time: more or less than was charged, of how many jobs
--  Part of the job before, and left out if that is refused: blocks as in 03_enqueue.lua
-- -> numbers of the jobs that were refused: their claim is not the current one, nothing of them was done
local now, n = clock(ARGV[1]), #ARGV
local WIDTH = {x = 5, q = 5, d = 4, r = 6, h = 6, p = 6, u = 4, w = 5}
local function width(i)
  local op = ARGV[i]
  if op == 'c' then return 5 + ARGV[i + 3] end
  return WIDTH[op] or block_width(i)
end
local BY_TENANT = {g = true, e = true, n = true, w = true}
local names, S, i = {}, {}, 2
while i <= n do
  local t = BY_TENANT[ARGV[i]] and ARGV[i + 1] or ARGV[i + 2]
  if not S[t] then S[t] = true; names[#names + 1] = t end
  i = i + width(i)
end
S = rows(names)
opened, conflicts, left_out = {}, {}, {}

local refused, job, gone, leaving, last_ok = {}, 0, {}, {}, false
-- Records of completed jobs go together: with many tenants in a call, one command for each would be a tenth of its
-- time. They go before anything looks at a record.
local completed = {}
local function delete_completed()
  if #completed > 0 then call('HDEL', ke, unpack(completed)); completed = {} end
end
local function complete(ids, from, to)
  if #completed + to - from > 5000 then delete_completed() end -- what `unpack` can take
  local n = #completed + 1 - from
  for j = from, to do completed[n + j] = ids[j] end
end
-- Ends one claim on one job; false when the claim is stale. Says too whether the job was to be cancelled.
local function unclaim(claim, t, s, id)
  job = job + 1
  last_ok = call('HGET', kt..t..':a', id) == claim
  if not last_ok then refused[#refused + 1] = job; return false end
  local wanted = free(t, s, {id})
  s.ended = true
  gone[claim] = (gone[claim] or 0) + 1
  return true, wanted ~= nil
end
-- A group that the job opens may have to hold the group it is in: leaving comes last.
local function leave(t, id, failed) leaving[#leaving + 1] = {t, id, failed} end

local ops = {}
-- Which jobs of a block are held by its claim; notes those that are not. A job that comes twice is held once.
local function held_of(i, claims, claim, c)
  local done, seen = {}, {}
  for j = 1, c do
    local id = ARGV[i + 4 + j]
    job = job + 1
    last_ok = claims[j] == claim and not seen[id]
    if last_ok then seen[id] = true; done[#done + 1] = id else refused[#refused + 1] = job end
  end
  return done
end
function ops.c(i)
  local claim, t, c = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local s, k, from, to, held = S[t], kt..t..':', i + 5, i + 4 + c, 0
  local claims = call('HMGET', k..'a', unpack(ARGV, from, to))
  for j = 1, c do if claims[j] == claim then held = held + 1 end end
  local done, n_done
  if held == c and call('HDEL', k..'a', unpack(ARGV, from, to)) == c then
    -- The usual case: their part of ARGV serves as it is, without tables of our own.
    job, last_ok, n_done = job + c, true, c
    if has(s, F.caps + F.cancels + F.unique + F.groups) then done = {unpack(ARGV, from, to)} end
  else
    done = held_of(i, claims, claim, c)
    n_done = #done
    if n_done == 0 then return end
    call('HDEL', k..'a', unpack(done))
  end
  if s.st == CAPPED then s.dirty = true end
  s.ended = true
  if s.hold > now then s.hold = 0; s.dirty = true end -- the tenant may run after all
  gone[claim] = (gone[claim] or 0) + n_done
  weigh(s, -ceil(ARGV[i + 4] * n_done / c))
  count(t, 'completed', n_done)
  if not done then
    complete(ARGV, from, to)
    remember('+'..t, ARGV, from, to)
    return
  end
  freed(t, s, done)
  complete(done, 1, n_done)
  unlock(t, s, done)
  if has(s, F.groups) then for j = 1, n_done do leave(t, done[j], false) end end
  remember('+'..t, done, 1, n_done)
end
local function kept(i)
  local op, t, id = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  local held, wanted = unclaim(ARGV[i + 1], t, s, id)
  if not held then return end
  local r = op == 'x' and parse(own(t, call('HGET', ke, id)))
  if op == 'x' and (wanted or r and r.epoch ~= s.ep) then -- it was called off, alone or with its tenant
    last_ok = false
    called_off(t, s, id, now)
    return
  end
  keep(t, s, op, id, ARGV[i + 4], now)
  leave(t, id, true)
end
ops.x, ops.q = kept, kept
function ops.d(i)
  local t, id = ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  if unclaim(ARGV[i + 1], t, s, id) then
    -- Its group goes on, or not, when its children are in.
    if has(s, F.bytes) then weigh(s, -call('HSTRLEN', ke, id)) end
    forget(t, id)
    unlock(t, s, {id})
    count(t, 'cancelled', 1)
    remember('-'..t, {id}, 1, 1)
    leave(t, id, true)
  end
end
-- Not final: change(record, tenant row) counts what happened and says where the job goes: kind, due | nil =
-- its list. What was cancelled meanwhile, alone or with its tenant, does not come back.
local function comes_back(i, change, first)
  local t, id = ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  local held, wanted = unclaim(ARGV[i + 1], t, s, id)
  if not held then return end
  local r = parse(own(t, call('HGET', ke, id)))
  if not r then put_aside(t, s, id, now); return end
  if wanted or r.epoch ~= s.ep then called_off(t, s, id, now); return end
  local kind, due = change(r, s)
  store(s, id, r)
  if kind and due > now then to_timer(t, kind, due, id) else to_list(t, s, r, id, first) end
end
function ops.r(i)
  comes_back(i, function(r)
    r.attempts, r.note = r.attempts + 1, ARGV[i + 5]
    return 'y', now + tonumber(ARGV[i + 4])
  end)
end
function ops.h(i)
  comes_back(i, function(r)
    r.parks, r.note = r.parks + 1, ARGV[i + 5]
    return 'y', now + tonumber(ARGV[i + 4])
  end)
end
function ops.p(i)
  comes_back(i, function(r, s)
    r.parks, r.note = r.parks + 1, ARGV[i + 5]
    local due = now + min(5000, 1000 * r.parks) + tonumber(ARGV[i + 4])
    -- The tenant's other jobs need not find out one by one.
    s.hold, s.dirty = max(s.hold, due), true
    return 'k', due
  end)
end
function ops.u(i)
  comes_back(i, function(r) r.interruptions = r.interruptions + 1 end, true)
end
function ops.w(i)
  local s, jobs, total = S[ARGV[i + 1]], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  charge(s, tonumber(ARGV[i + 2]))
  if jobs > 0 then
    local mean = max(LEAST_US, total / jobs)
    -- A moving average that 20 jobs move by two thirds.
    s.est = s.est <= 0 and mean or s.est + (mean - s.est) * min(0.7, jobs * 0.05)
    s.dirty = true
  end
end
local function child(i)
  if last_ok then enqueue_any(now, i, S[ARGV[i + 1]]) end
end
ops.g, ops.e, ops.n = child, child, child

i = 2
while i <= n do
  local next_block, op, before = i + width(i), ARGV[i], job
  if op ~= 'c' and op ~= 'w' then delete_completed() end
  if op == 'w' then ops.w(i) -- reads nothing
  elseif not guarded(BY_TENANT[op] and ARGV[i + 1] or ARGV[i + 2], ops[op], i) and not BY_TENANT[op] then
    -- Its lease will end it.
    last_ok, job = false, before + (op == 'c' and ARGV[i + 3] or 1)
    while #refused > 0 and refused[#refused] > before do table.remove(refused) end
    for j = before + 1, job do refused[#refused + 1] = j end
  end
  i = next_block
end
delete_completed()
for j = 1, #leaving do local x = leaving[j]; guarded(x[1], group_leave, x[1], S[x[1]], x[2], x[3], now) end
close_opened(S, now)
for claim, m in pairs(gone) do
  local left = call('HINCRBY', p..':n', claim, -m)
  if left < 0 then -- the count was lost
    left = jobs_left(claim)
    if left > 0 then call('HSET', p..':n', claim, left) end
  end
  if left <= 0 then
    call('HDEL', p..':n', claim)
    call('UNLINK', p..':c:'..claim)
    call('ZREM', p..':l', claim)
  end
end
for j = 1, #names do
  local s = S[names[j]]
  if s.ended and s.est < 0 then s.est, s.dirty = UNKNOWN_US, true end -- nobody measured
end
settle(names, S, now)
flush_counts()
return refused
