-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, then blocks; the jobs in them are counted from 1 in the order given:
--  'c' claim tenant count id*              completed
--  'x' | 'q' claim tenant id why           dead letter | quarantine; why = code \n text
--  'd' claim tenant id                     dropped
--  'r' claim tenant id after_ms note       retry: attempts + 1
--  'p' claim tenant id jitter_ms note      parked: the tenant waits 1 to 5 s, longer each time for this job
--  'u' claim tenant id                     given back: interruptions + 1, first of its list
--  Part of the job before, and left out if that is refused:
--  'g' tenant group id due group-of-id record              opens a group with its continuation
--  'e' tenant lane level due group count (id record)*      enqueues children
-- -> numbers of the jobs that were refused: their claim is not the current one, nothing of them was done
local now, n = clock(ARGV[1]), #ARGV
local WIDTH = {x = 5, q = 5, d = 4, r = 6, p = 6, u = 4, g = 7}
local function width(i)
  local op = ARGV[i]
  if op == 'c' then return 4 + ARGV[i + 3] end
  if op == 'e' then return 7 + 2 * ARGV[i + 6] end
  return WIDTH[op]
end
local names, S, i = {}, {}, 2
while i <= n do
  local op = ARGV[i]
  local t = (op == 'g' or op == 'e') and ARGV[i + 1] or ARGV[i + 2]
  if not S[t] then S[t] = true; names[#names + 1] = t end
  i = i + width(i)
end
S = rows(names)

local refused, job, gone, opened, leaving, last_ok = {}, 0, {}, {}, {}, false
-- Ends one claim on one job; false when the claim is stale.
local function unclaim(claim, t, s, id)
  job = job + 1
  last_ok = call('HGET', kt..t..':a', id) == claim
  if not last_ok then refused[#refused + 1] = job; return false end
  call('HDEL', kt..t..':a', id)
  gone[claim] = (gone[claim] or 0) + 1
  if s.st == CAPPED then s.dirty = true end
  return true
end
-- A group that the job opens may have to hold the group it is in: leaving comes last.
local function leave(t, id, failed) leaving[#leaving + 1] = {t, id, failed} end
local function remember(t, list)
  local k = kt..t..':f'
  call('LPUSH', k, unpack(list))
  call('LTRIM', k, 0, RECENT - 1)
  call('EXPIRE', k, RECENT_S)
end
local ops = {}
function ops.c(i)
  local claim, t, c = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local s, k, ids, done, seen = S[t], kt..t..':', {}, {}, {}
  for j = 1, c do ids[j] = ARGV[i + 3 + j] end
  local claims = call('HMGET', k..'a', unpack(ids))
  for j = 1, c do
    job = job + 1
    last_ok = claims[j] == claim and not seen[ids[j]]
    if last_ok then seen[ids[j]] = true; done[#done + 1] = ids[j] else refused[#refused + 1] = job end
  end
  if #done == 0 then return end
  call('HDEL', k..'a', unpack(done))
  call('HDEL', ke, unpack(done))
  gone[claim] = (gone[claim] or 0) + #done
  if s.st == CAPPED then s.dirty = true end
  if s.hold > now then s.hold = 0; s.dirty = true end -- the tenant may run after all
  if call('EXISTS', k..'m') == 1 then
    for j = 1, #done do leave(t, done[j], false) end
  end
  remember(t, done)
  count(t, 'completed', #done)
end
local function kept(i)
  local op, t, id = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  if not unclaim(ARGV[i + 1], t, s, id) then return end
  keep(t, op, id, ARGV[i + 4], now)
  leave(t, id, true)
end
ops.x, ops.q = kept, kept
function ops.d(i)
  local t, id = ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  if not unclaim(ARGV[i + 1], t, s, id) then return end
  call('HDEL', ke, id)
  leave(t, id, true)
  remember(t, {'-'..id})
  count(t, 'cancelled', 1)
end
-- Not final: change(record, tenant row) counts what happened and says where the job goes: kind, due | nil =
-- its list
local function comes_back(i, change, first)
  local t, id = ARGV[i + 2], ARGV[i + 3]
  local s = S[t]
  if not unclaim(ARGV[i + 1], t, s, id) then return end
  local r = parse(call('HGET', ke, id))
  if not r then put_aside(t, s, id, now); return end
  local kind, due = change(r, s)
  store(id, r)
  if kind and due > now then to_timer(t, kind, due, id) else to_list(t, s, r.lane, r.level, id, first) end
end
function ops.r(i)
  comes_back(i, function(r)
    r.attempts, r.note = r.attempts + 1, ARGV[i + 5]
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
function ops.g(i)
  if not last_ok then return end
  local t, group, id = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = kt..t..':g:'..group
  lane_number(smatch(ARGV[i + 6], '^([^\n]*)\n', 13), true) -- its lane may be new
  call('HSETNX', key, 'c', id..'\n'..ARGV[i + 4]..'\n'..ARGV[i + 6])
  call('HSETNX', key, 'f', 0)
  opened[#opened + 1] = {t, group}
  if ARGV[i + 5] ~= '' then group_join(t, ARGV[i + 5], id) end
end
function ops.e(i)
  if not last_ok then return end
  local t = ARGV[i + 1]
  enqueue_block(now, t, S[t], ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), ARGV[i + 5], i + 7,
    tonumber(ARGV[i + 6]))
end

i = 2
while i <= n do
  ops[ARGV[i]](i)
  i = i + width(i)
end
for j = 1, #leaving do local x = leaving[j]; group_leave(x[1], S[x[1]], x[2], x[3], now) end
for j = 1, #opened do -- a group none of whose children is still to run
  local t, group = opened[j][1], opened[j][2]
  if call('HEXISTS', kt..t..':g:'..group, 'c') == 1 then group_close(t, S[t], group, now) end
end
for claim, m in pairs(gone) do
  if call('HINCRBY', p..':n', claim, -m) <= 0 then
    call('HDEL', p..':n', claim)
    call('UNLINK', p..':c:'..claim)
    call('ZREM', p..':l', claim)
  end
end
settle(names, S, now)
flush_counts()
return refused
