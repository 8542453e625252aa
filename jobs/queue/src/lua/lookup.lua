-- flag no-writes. ARGV now, tenant, id, live_ms
-- -> {} | {state, at or '', why, declared (1 | 0), header fields...}
local now, t, id = clock(ARGV[1]), ARGV[2], ARGV[3]
local k, s = kt..t..':', dec(t, call('HGET', kT, t))
local function declared(skill)
  return skill and call('ZCOUNT', p..':W:'..skill, int(now - tonumber(ARGV[4])), '+inf') > 0 and 1 or 0
end
local r = parse(own(t, call('HGET', ke, id)))
local function answer(state, at, why)
  if not r then return {state, at, why, 0} end
  return {state, at, why, declared(r.name), r.name, r.level, r.attempts, r.deaths, r.interruptions, r.parks}
end
for _, x in ipairs({{'q', 'quarantined'}, {'x', 'discarded'}}) do
  local since = call('ZSCORE', k..x[1], id)
  if since then return answer(x[2], since, call('HGET', k..'z', id) or '') end
end
local note = r and r.note or ''
if call('HEXISTS', k..'a', id) == 1 then return answer('active', '', note) end
if r and r.epoch ~= s.ep then return answer('cancelled', '', '') end
for _, x in ipairs({{'s', 'scheduled'}, {'y', 'retryable'}, {'k', 'parked'}}) do
  local due = call('ZSCORE', k..x[1], id)
  if due then return answer(x[2], due, note) end
end
if r then return answer(has(s, F.suspended) and 'parked' or 'available', '', note) end
local ending = ending_of(t, id)
return ending and {ending, '', '', 0} or {}
