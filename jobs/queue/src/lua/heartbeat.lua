-- ARGV now, worker, live_ms, stay (1 | 0), (skill, its queue)* -> the skills' numbers: says which skills have a
-- worker
local now, worker, stay, out = clock(ARGV[1]), ARGV[2], ARGV[4] == '1', {}
for i = 5, #ARGV, 2 do
  local k, skill = p..':W:'..ARGV[i], skill_number(ARGV[i], ARGV[i + 1])
  if stay then call('ZADD', k, int(now), worker) else call('ZREM', k, worker) end
  call('PEXPIRE', k, ARGV[3])
  call('ZREMRANGEBYSCORE', k, '-inf', int(now - tonumber(ARGV[3])))
  out[#out + 1] = skill
end
if not stay then call('DEL', p..':u:'..worker) end
return out
