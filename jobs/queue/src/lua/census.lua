-- flag no-writes. ARGV now, live_ms, most, cursor
-- -> {records, in flight, next cursor, rows, {tenants idle, ready, capped, limited, paused, among these rows},
--     {skill, its queue, live workers, tenants ready, waiting, startable, tenant of the oldest or '', its id}*}
-- What waits and what one more worker could start. It costs as much as `most` tenants however many there are: of what
-- is more, the first and the last are looked at and stand for the others.
local now, live, most = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- Jobs in flight, by claims.
local claims, counted, held = call('HLEN', p..':n'), 0, 0
local left = call('HRANDFIELD', p..':n', most, 'WITHVALUES')
for i = 2, #left, 2 do counted = counted + 1; held = held + (number(left[i]) or 0) end
if counted > 0 then held = held * claims / counted end

-- A part of the rows, whatever state their tenants are in.
local states, found = {0, 0, 0, 0, 0}, call('HSCAN', kT, ARGV[4], 'COUNT', most)
for i = 1, #found[2], 2 do
  local ok, s = guarded(found[2][i], dec, found[2][i], found[2][i + 1])
  if ok then states[s.st + 1] = states[s.st + 1] + 1 end
end

-- Tenants that may start something, by skill.
local skills, served, paused = {}, 0, call('EXISTS', p..':P') == 1
for skill = 0, min(floor(call('HLEN', kL) / 3), 256) - 1 do
  local name, queue = call('HGET', kL, '#'..skill), queue_of(skill)
  if name then
    local ready = call('ZCARD', kr..skill)
    if paused and call('HGET', p..':P', queue) == 'paused' then ready = 0 end
    if ready > 0 then served = served + 1 end
    skills[#skills + 1] = {skill = skill, name = name, queue = queue, ready = ready, seen = 0, waiting = 0,
      startable = 0, workers = call('ZCOUNT', p..':W:'..name, int(now - live), '+inf'), tenant = '', id = ''}
  end
end
local each, of_tenant, names = max(2, floor(most / max(served, 1))), {}, {}
for i = 1, #skills do
  local x = skills[i]
  if x.ready > 0 then
    local heads = call('ZRANGE', kr..x.skill, 0, ceil(each / 2) - 1)
    local tails = call('ZREVRANGE', kr..x.skill, 0, min(floor(each / 2), max(0, x.ready - #heads)) - 1)
    if x.ready <= #heads then tails = {} end
    for _, list in ipairs({heads, tails}) do
      for j = 1, #list do
        local t = list[j]
        if not of_tenant[t] then of_tenant[t] = {}; names[#names + 1] = t end
        push_to(of_tenant, t, x, true)
      end
    end
  end
end

-- The time in a job's id. Ids that have none are the newest.
local function made_at(id)
  return tonumber(ssub(id, 1, 8)..ssub(id, 10, 13), 16) or BIG
end

local function look(t, s)
  local k = kt..t..':'
  local room, ghosts = s.cap - in_flight(t), has(s, F.ghosts) and call('HLEN', k..'H') or 0
  if s.emit > 0 then
    local rate = s.burst
    if s.tat > now then rate = floor((now - s.tat) / s.emit) + s.burst end
    room = min(room, max(0, rate))
  end
  local mine = of_tenant[t]
  for i = 1, #mine, 2 do
    local x, waiting = mine[i], 0
    for level = 0, LEVELS do
      for _, list in ipairs(has_jobs(s, x.skill, level) and lists_of(t, s, x.skill, level) or {}) do
        waiting = waiting + call('LLEN', list)
        local id = call('LINDEX', list, 0)
        if id and is_id(id) and is_name(t) and (x.id == '' or made_at(id) < made_at(x.id)) then x.tenant = t; x.id = id end
      end
    end
    local cancelled = min(ghosts, waiting)
    ghosts, waiting = ghosts - cancelled, waiting - cancelled
    local startable = max(0, min(waiting, room))
    local cap = has(s, F.caps) and caps_of(t, s)[type_of(x.name)]
    if cap then startable = max(0, min(startable, cap - call('SCARD', k..'a:'..type_of(x.name)))) end
    room = room - startable
    x.seen, x.waiting, x.startable = x.seen + 1, x.waiting + waiting, x.startable + startable
  end
end
local S = rows(names)
for i = 1, #names do guarded(names[i], look, names[i], S[names[i]]) end

local out = {}
for i = 1, #skills do
  local x = skills[i]
  local part = x.seen > 0 and x.ready / x.seen or 0
  out[i] = {x.name, x.queue, x.workers, x.ready, floor(x.waiting * part), floor(x.startable * part), x.tenant, x.id}
end
return {call('HLEN', ke), floor(held), found[1], #found[2] / 2, states, out}
