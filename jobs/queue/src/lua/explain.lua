-- flag no-writes. ARGV now, tenant, id -> {} | facts, name and value in turn: what may keep the job from running
local now, t, id = clock(ARGV[1]), ARGV[2], ARGV[3]
local k, out = kt..t..':', {}
local r = parse(call('HGET', ke, id))
if not r or r.tenant ~= t then return out end
local s = dec(t, call('HGET', kT, t))
local function say(name, value) out[#out + 1] = name; out[#out + 1] = tostring(value) end
local kind, queue = type_of(r.name), queue_of(r.skill)
say('skill', r.name)
say('type', kind)
say('queue', queue)
if has(s, F.paused) then say('tenant_paused', 1) end
if has(s, F.suspended) then say('tenant_suspended', 1) end
if call('HGET', p..':P', queue) == 'paused' then say('queue_paused', queue) end
if has(s, F.queues) and call('HGET', k..'S', 'p:'..queue) == 'paused' then say('tenant_queue_paused', queue) end
local na = in_flight(t)
say('in_flight', na)
if na >= s.cap then say('cap', int(s.cap)) end
local kind_cap = has(s, F.caps) and caps_of(t, s)[kind]
if kind_cap then
  say('type_in_flight', call('SCARD', k..'a:'..kind))
  say('type_cap', int(kind_cap))
end
if s.hold > now then say('held_until', int(s.hold)) end
if s.emit > 0 and ceil(s.tat - (s.burst - 1) * s.emit) > now then
  say('rate_until', int(ceil(s.tat - (s.burst - 1) * s.emit)))
end
-- Behind it in its own tenant: higher priorities, and what came before. Looked for in the first 10,000 only.
local list = k..r.skill..'.'..r.level
local at = call('LPOS', list, id, 'MAXLEN', 10000)
if at then
  local ahead = at
  for level = 0, r.level - 1 do ahead = ahead + call('LLEN', k..r.skill..'.'..level) end
  say('jobs_ahead', ahead)
elseif call('LLEN', list) > 10000 then say('jobs_ahead', 10000) end
local rank = call('ZRANK', kr..r.skill, t)
if rank then say('tenants_ahead', rank) end
return out
