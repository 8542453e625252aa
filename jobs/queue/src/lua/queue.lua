-- ARGV now, queue, paused | draining | '' -> 1: for all tenants, from the next fetch or enqueue on
if ARGV[3] == '' then call('HDEL', p..':P', ARGV[2]) else call('HSET', p..':P', ARGV[2], ARGV[3]) end
for skill = 0, floor(call('HLEN', kL) / 3) - 1 do
  if queue_of(skill) == ARGV[2] then wake(skill) end
end
return 1
