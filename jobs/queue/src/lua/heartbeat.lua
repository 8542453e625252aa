-- ARGV now, worker, live_ms, stay (1 | 0), (lane, its queue)* -> the lanes' numbers: says which lanes have a
-- worker
local now, worker, stay, out = clock(ARGV[1]), ARGV[2], ARGV[4] == '1', {}
for i = 5, #ARGV, 2 do
  local k, lane = p..':W:'..ARGV[i], lane_number(ARGV[i], ARGV[i + 1])
  if stay then call('ZADD', k, int(now), worker) else call('ZREM', k, worker) end
  call('PEXPIRE', k, ARGV[3])
  call('ZREMRANGEBYSCORE', k, '-inf', int(now - tonumber(ARGV[3])))
  out[#out + 1] = lane
end
if not stay then call('DEL', p..':u:'..worker) end
return out
