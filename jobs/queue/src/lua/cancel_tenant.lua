-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, tenant -> {jobs that waited, jobs told to stop}: everything of the tenant is called off in a few
-- steps, however much there is. What waits is renamed and swept later; it counts as cancelled at once, because
-- its records have an epoch that has passed.
local now, t = clock(ARGV[1]), ARGV[2]
local k, S, waited = kt..t..':', rows({t}), 0
local s = S[t]
local function away(key, size)
  local jobs = call(size, key)
  if jobs == 0 then return end
  waited = waited + jobs
  local rest = k..'~'..call('INCR', p..':G')
  call('RENAME', key, rest)
  litter(t, s, 'd', rest)
end
for i = 1, #s.skills do
  for level = 0, LEVELS do
    for _, list in ipairs(lists_of(t, s, s.skills[i], level)) do away(list, 'LLEN') end
    if in_turns(s, s.skills[i], level) then
      call('UNLINK', k..s.skills[i]..'.'..level..'*')
      set_turns(s, s.skills[i], level, false)
    end
  end
end
for kind in pairs(TIMERS) do
  away(k..kind, 'ZCARD')
  call('ZREM', kw, kind..t)
end
-- Ghosts were counted when they were cancelled.
waited = waited - call('HLEN', k..'H')
call('UNLINK', k..'H')
for i = #s.skills, 1, -1 do
  local skill = s.skills[i]
  for level = 0, LEVELS do skill_off(s, skill, BIT[level]) end
end
s.ep = (s.ep + 1) % 10000
call('HSET', k..'S', 'ep', s.ep)
s.bytes = 0
lower(s, F.ghosts)
if waited > 0 then count(t, 'cancelled', waited) end
local running = in_flight(t)
if running > 0 then
  call('ZADD', p..':s', int(now), '* '..t..' '..(call('GET', p..':F') or '0'))
end
s.dirty = true
settle({t}, S, now)
flush_counts()
return {waited, running}
