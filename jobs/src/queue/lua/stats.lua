-- flag no-writes. ARGV now, tenant, live_ms -> {name, count, ...}, {undeclared lane, waiting, ...}
local now, t = clock(ARGV[1]), ARGV[2]
local k, s, available, alone = kt..t..':', dec(t, call('HGET', kT, t)), 0, {}
for i = 1, #s.ln do
  local lane, waiting = s.ln[i], 0
  for level = 0, 3 do
    if band(s.b[lane], BIT[level]) ~= 0 then waiting = waiting + call('LLEN', k..lane..'.'..level) end
  end
  available = available + waiting
  local name = call('HGET', kL, '#'..lane) or tostring(lane)
  if waiting > 0 and call('ZCOUNT', p..':W:'..name, int(now - tonumber(ARGV[3])), '+inf') == 0 then
    alone[#alone + 1] = name
    alone[#alone + 1] = waiting
  end
end
if has(s, F.ghosts) then available = available - call('SCARD', k..'h') end
local o = call('HMGET', k..'o', 'completed', 'cancelled', 'discarded', 'quarantined')
for i = 1, 4 do o[i] = tonumber(o[i]) or 0 end
return {{available, in_flight(t), call('ZCARD', k..'s'), call('ZCARD', k..'y'), call('ZCARD', k..'k'),
  call('ZCARD', k..'x'), call('ZCARD', k..'q'), o[1], o[2], o[3], o[4]}, alone}
