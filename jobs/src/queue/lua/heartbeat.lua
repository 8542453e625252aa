-- ARGV now, worker, live_ms, stay (1 | 0), lane name* -> the lanes' numbers: says which lanes have a worker
local now, worker, stay, out = clock(ARGV[1]), ARGV[2], ARGV[4] == '1', {}
for i = 5, #ARGV do
  local k = p..':W:'..ARGV[i]
  if stay then call('ZADD', k, int(now), worker) else call('ZREM', k, worker) end
  call('PEXPIRE', k, ARGV[3])
  call('ZREMRANGEBYSCORE', k, '-inf', int(now - tonumber(ARGV[3])))
  out[#out + 1] = lane_number(ARGV[i], true)
end
if not stay then call('DEL', p..':u:'..worker) end
return out
