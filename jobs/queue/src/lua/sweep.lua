-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, limit -> how many are left to look at, at least: removes what was called off by the thousand
local now, limit = clock(ARGV[1]), tonumber(ARGV[2])
local head = call('LINDEX', p..':gc', 0)
call('ZREMRANGEBYSCORE', p..':s', '-inf', int(now - 600000)) -- nobody ran it for ten minutes
if not head then return 0 end
local kind, t, key = smatch(head, '^([cd])([^\n]*)\n(.*)$')
if not kind or ssub(key, 1, #kt + #t + 2) ~= kt..t..':~' then -- not one of ours
  call('LPOP', p..':gc')
  damage('gc', 'dropped what is no batch of cancelled jobs')
  return call('LLEN', p..':gc')
end
local S = rows({t})
local s, ids = S[t], {}
if call('TYPE', key).ok == 'zset' then
  local z = call('ZPOPMIN', key, limit)
  for i = 1, #z, 2 do ids[#ids + 1] = z[i] end
else ids = call('LPOP', key, limit) or {} end
if kind == 'c' and #ids > 0 then cancel(t, s, ids, now) end
if kind == 'd' and #ids > 0 then
  local gone, recs = {}, call('HMGET', ke, unpack(ids))
  for i = 1, #ids do
    local r = parse(recs[i])
    if recs[i] and (not r or r.tenant == t and r.epoch ~= s.ep) then gone[#gone + 1] = ids[i] end
  end
  if #gone > 0 then
    call('HDEL', ke, unpack(gone))
    unlock(t, s, gone)
    for i = 1, #gone do group_leave(t, s, gone[i], true, now) end
  end
end
if call('EXISTS', key) == 0 then
  call('LPOP', p..':gc')
  -- The row, and with it the epoch, may go when nothing of the tenant is left to sweep.
  if call('HINCRBY', p..':gn', t, -1) <= 0 then
    call('HDEL', p..':gn', t)
    lower(s, F.garbage)
  end
end
settle({t}, S, now)
flush_counts()
return call('LLEN', p..':gc')
