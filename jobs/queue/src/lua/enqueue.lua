-- ARGV now, new (1 = limits hold | 0 = this work was accepted before), then blocks as in 03_enqueue.lua
-- -> {how many were new, {new id, id of the job that has its key, what was done, ...},
--     {tenant, limit, current, maximum, retry_after_ms, ...} refused, with all their jobs in this call,
--     {id, ...} of the jobs without a unique key that were not new}
local now, checked, n = clock(ARGV[1]), ARGV[2] == '1', #ARGV
local names, S, i = {}, {}, 3
while i <= n do
  local t = ARGV[i + 1]
  if not S[t] then S[t] = true; names[#names + 1] = t end
  i = i + block_width(i)
end
S = rows(names)
opened, conflicts, left_out = {}, {}, {}

local refused, out = {}, {}
local function refuse(t, why)
  refused[t] = true
  for _, x in ipairs({t, unpack(why)}) do out[#out + 1] = x end
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

local function check(t, s, paused)
  local why = draining(t, s, nil)
  local at = 3
  while at <= n and not why and (paused or has(s, F.queues)) do
    if ARGV[at + 1] == t and ARGV[at] ~= 'g' then why = draining(t, s, ARGV[at + 3]) end
    at = at + block_width(at)
  end
  if not why and has(s, F.quotas) then why = over_quota(t, s, wanted(t)) end
  if why then refuse(t, why) end
end

if checked then
  local paused = call('EXISTS', p..':P') == 1
  for j = 1, #names do
    local t = names[j]
    local s = S[t]
    if paused or has(s, F.draining + F.queues + F.quotas) then guarded(t, check, t, s, paused) end
  end
end

local accepted = 0
i = 3
while i <= n do
  local t, width = ARGV[i + 1], block_width(i)
  if not refused[t] then
    local ok, new = guarded(t, enqueue_any, now, i, S[t])
    if ok then accepted = accepted + new else refuse(t, {'damaged', '0', '0', '5000'}) end
  end
  i = i + width
end
close_opened(S, now)
settle(names, S, now)
flush_counts()
return {accepted, conflicts, out, left_out}
