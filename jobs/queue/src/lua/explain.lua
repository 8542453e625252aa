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
-- Behind it in its own tenant: higher priorities of its lane, and what came before. Looked for in the first 10,000 only.
-- Where branches take turns, what came before of its own is said apart.
local lane = r.level < BULK and 0 or BULK
local list = list_of(t, s, r.skill, r.level, r.branch)
local at = call('LPOS', list, id, 'MAXLEN', 10000)
local waits = at or call('LLEN', list) > 10000
if waits then
  local ahead, turns = at or 10000, in_turns(s, r.skill, r.level)
  if turns then
    say('branches', call('LLEN', k..r.skill..'.'..r.level..'*'))
    say('branch_ahead', ahead)
    ahead = 0
  end
  for level = lane, r.level - 1 do ahead = ahead + length_of(t, s, r.skill, level) end
  say('jobs_ahead', ahead)
end
if waits and lane == BULK then
  for i = 1, #s.skills do
    if open(s.b[s.skills[i]]) and s.b[s.skills[i]] % 16 > 0 then say('bulk', BULK_TURN); break end
  end
end
local rank = call('ZRANK', kr..r.skill, t)
if rank then say('tenants_ahead', rank) end
return out
