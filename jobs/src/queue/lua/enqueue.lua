-- ARGV now, new (1 = limits hold | 0 = this work was accepted before), then blocks as in 03_enqueue.lua
-- -> {how many were new, {new id, id of the job that has its key, what was done, ...},
--     {tenant, limit, current, maximum, retry_after_ms, ...} refused, with all their jobs in this call}
local now, checked, n = clock(ARGV[1]), ARGV[2] == '1', #ARGV
local names, S, i = {}, {}, 3
while i <= n do
  local t = ARGV[i + 1]
  if not S[t] then S[t] = true; names[#names + 1] = t end
  i = i + block_width(i)
end
S = rows(names)
opened, conflicts = {}, {}

local refused, out = {}, {}
local function refuse(t, limit, current, maximum, retry_ms)
  refused[t] = true
  for _, x in ipairs({t, limit, int(current), int(maximum), int(retry_ms)}) do out[#out + 1] = x end
end

local function waiting(t, s)
  local k, jobs = kt..t..':', 0
  for j = 1, #s.ln do
    local lane = s.ln[j]
    for level = 0, 3 do
      if band(s.b[lane], BIT[level]) ~= 0 then jobs = jobs + call('LLEN', k..lane..'.'..level) end
    end
  end
  if has(s, F.ghosts) then jobs = jobs - call('SCARD', k..'h') end
  return jobs + call('ZCARD', k..'s') + call('ZCARD', k..'y') + call('ZCARD', k..'k')
end

-- When there may be room again, as far as one can tell: 1 s to 1 min.
local function patience(t, s, jobs)
  return min(60000, max(1000, jobs * estimate(s) / 1000 / max(1, in_flight(t))))
end

-- What the call wants to add for a tenant with quotas. What the queue has already is not added.
local function wanted(t)
  local jobs, bytes, scheduled = 0, 0, 0
  local function add(id, record, due)
    if call('HEXISTS', ke, id) == 1 then return end
    jobs, bytes = jobs + 1, bytes + #record
    if tonumber(due) > now then scheduled = scheduled + 1 end
  end
  local at = 3
  while at <= n do
    if ARGV[at + 1] == t then
      if ARGV[at] == 'n' then add(ARGV[at + 11], ARGV[at + 12], ARGV[at + 5])
      elseif ARGV[at] == 'e' then
        for j = at + 8, at + 7 + 2 * ARGV[at + 7], 2 do add(ARGV[j], ARGV[j + 1], ARGV[at + 5]) end
      end
    end
    at = at + block_width(at)
  end
  return jobs, bytes, scheduled
end

local function check_quotas(t, s)
  local q = call('HMGET', kt..t..':S', 'qj', 'qb', 'qs')
  local jobs, bytes, scheduled = wanted(t)
  if jobs == 0 then return end
  local have = waiting(t, s)
  local later = call('ZCARD', kt..t..':s')
  if q[1] and have + jobs > tonumber(q[1]) then refuse(t, 'backlog_jobs', have, q[1], patience(t, s, have))
  elseif q[2] and s.bytes + bytes > tonumber(q[2]) then
    refuse(t, 'backlog_bytes', s.bytes, q[2], patience(t, s, have))
  elseif q[3] and scheduled > 0 and later + scheduled > tonumber(q[3]) then
    refuse(t, 'scheduled_jobs', later, q[3], 60000)
  end
end

local function check_draining(t, s, paused)
  if has(s, F.draining) then refuse(t, 'tenant_draining', 0, 0, 60000); return end
  if not (paused or has(s, F.queues)) then return end
  local at = 3
  while at <= n do
    if ARGV[at + 1] == t and ARGV[at] ~= 'g' and not refused[t] then
      local queue = ARGV[at + 3]
      if paused and call('HGET', p..':P', queue) == 'draining' then refuse(t, 'queue_draining', 0, 0, 60000)
      elseif has(s, F.queues) and call('HGET', kt..t..':S', 'p:'..queue) == 'draining' then
        refuse(t, 'tenant_queue_draining', 0, 0, 60000)
      end
    end
    at = at + block_width(at)
  end
end

if checked then
  local paused = call('EXISTS', p..':P') == 1
  for j = 1, #names do
    local t = names[j]
    local s = S[t]
    if paused or has(s, F.draining + F.queues) then check_draining(t, s, paused) end
    if has(s, F.quotas) and not refused[t] then check_quotas(t, s) end
  end
end

local accepted = 0
i = 3
while i <= n do
  local t, width = ARGV[i + 1], block_width(i)
  if not refused[t] then accepted = accepted + enqueue_any(now, i, S[t]) end
  i = i + width
end
close_opened(S, now)
settle(names, S, now)
flush_counts()
return {accepted, conflicts, out}
