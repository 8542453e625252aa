-- ARGV now, tenant, (field, value)* -> the tenant's state: plan change, pause, resume. A hold ends.
--  w cap emit burst; qj qb qs = quotas; k:TYPE = cap of a type; k = ends the caps of all types; p:QUEUE = paused | draining; value '' = no limit
--  paused suspended draining = 1 | 0
local now, t = clock(ARGV[1]), ARGV[2]
local S = rows({t})
local s, k = S[t], kt..t..':'

local function set(name, value)
  if value == '' then call('HDEL', k..'S', name) else call('HSET', k..'S', name, value) end
end

-- Who runs already counts.
local function cap_type(kind)
  local ids, members = call('HKEYS', k..'a'), {}
  call('DEL', k..'a:'..kind)
  for at = 1, #ids, 500 do
    local some = {unpack(ids, at, min(at + 499, #ids))}
    local recs = call('HMGET', ke, unpack(some))
    for i = 1, #some do
      local r = parse(recs[i])
      if r and type_of(r.name) == kind then call('SADD', k..'a:'..kind, some[i]) end
    end
  end
end

local function set_queue(queue, value)
  for skill = 0, floor(call('HLEN', kL) / 3) - 1 do
    if queue_of(skill) == queue then
      if value == 'paused' and s.b[skill] then skill_on(s, skill, SKILL_PAUSED) end
      if value ~= 'paused' then skill_off(s, skill, SKILL_PAUSED) end
    end
  end
end

for i = 3, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  if USUAL[name] and name ~= 'ep' then
    s[name] = number(value) or USUAL[name]
    set(name, value)
  elseif F[name] then
    if value == '1' then raise(s, F[name]) else lower(s, F[name]) end
    set(name, value == '1' and '1' or '')
  elseif name == 'k' then
    for _, field in ipairs(call('HKEYS', k..'S')) do
      local kind = smatch(field, '^k:(.*)$')
      if kind then set(field, ''); call('DEL', k..'a:'..kind) end
    end
  else
    set(name, value)
    local kind, queue = smatch(name, '^k:(.*)$'), smatch(name, '^p:(.*)$')
    if kind and value == '' then call('DEL', k..'a:'..kind) elseif kind then cap_type(kind) end
    if queue then set_queue(queue, value) end
    if name == 'qb' and value ~= '' and not has(s, F.bytes) then
      -- What is there already was not weighed: a guess, until the tenant has nothing open.
      local open_jobs = in_flight(t)
      for j = 1, #s.skills do
        for level = 0, LEVELS do open_jobs = open_jobs + length_of(t, s, s.skills[j], level) end
      end
      raise(s, F.bytes)
      s.bytes = 700 * open_jobs
    elseif name == 'qb' and value == '' then lower(s, F.bytes) end
  end
end
local quotas, caps, queues = false, false, false
for _, name in ipairs(call('HKEYS', k..'S')) do
  quotas = quotas or smatch(name, '^q')
  caps = caps or smatch(name, '^k:')
  queues = queues or smatch(name, '^p:')
end
for flag, on in pairs({quotas = quotas or false, caps = caps or false, queues = queues or false}) do
  if on then raise(s, F[flag]) else lower(s, F[flag]) end
end
s.caps = nil
for i = #s.skills, 1, -1 do skill_off(s, s.skills[i], SKILL_CAPPED) end
s.hold, s.dirty = 0, true
settle({t}, S, now)
return s.st
