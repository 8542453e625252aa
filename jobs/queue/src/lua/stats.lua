-- flag no-writes. ARGV now, tenant, live_ms -> {name, count, ...}, {undeclared skill, waiting, ...}
local now, t = clock(ARGV[1]), ARGV[2]
local k, s, available, alone = kt..t..':', dec(t, call('HGET', kT, t)), 0, {}
local ghosts -- name of skill -> how many
local function ghosts_of(name)
  if not has(s, F.ghosts) then return 0 end
  if not ghosts then
    ghosts = {}
    for _, of in ipairs(call('HVALS', k..'H')) do
      of = smatch(of, '^[^\t]*')
      ghosts[of] = (ghosts[of] or 0) + 1
    end
  end
  return ghosts[name] or 0
end
for i = 1, #s.skills do
  local skill, waiting = s.skills[i], 0
  for level = 0, LEVELS do
    if has_jobs(s, skill, level) then waiting = waiting + length_of(t, s, skill, level) end
  end
  available = available + waiting
  local name = call('HGET', kL, '#'..skill) or tostring(skill)
  if waiting > 0 and call('ZCOUNT', p..':W:'..name, int(now - tonumber(ARGV[3])), '+inf') == 0 then
    waiting = waiting - ghosts_of(name)
    if waiting > 0 then
      alone[#alone + 1] = name
      alone[#alone + 1] = waiting
    end
  end
end
if has(s, F.ghosts) then available = available - call('HLEN', k..'H') end
local parked = call('ZCARD', k..'k')
-- No worker could help them.
if has(s, F.suspended) then available, parked, alone = 0, parked + available, {} end
return {{available, in_flight(t), call('ZCARD', k..'s'), call('ZCARD', k..'y'), parked, call('ZCARD', k..'x'),
  call('ZCARD', k..'q'), totals_of(t)}, alone}
