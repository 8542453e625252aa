-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, tenant, id* -> how many dead letters and quarantined jobs were thrown away
local t, ids, n = ARGV[2], {}, 0
local k = kt..t..':'
for i = 3, #ARGV do
  local id = ARGV[i]
  if call('ZREM', k..'x', id) + call('ZREM', k..'q', id) > 0 then
    call('HDEL', k..'z', id)
    call('HDEL', k..'U', id)
    forget(t, id)
    n = n + 1
  end
end
return n
