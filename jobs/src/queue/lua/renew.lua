-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, lease_ms, claim* -> 1 or 0 for each: 0 = reaped or finished, stop its work
local now = clock(ARGV[1])
local live, z, out = call('ZMSCORE', p..':l', unpack(ARGV, 3)), {}, {}
for j = 1, #live do
  if live[j] then
    z[#z + 1] = int(now + tonumber(ARGV[2]))
    z[#z + 1] = ARGV[j + 2]
    out[j] = 1
  else out[j] = 0 end
end
if #z > 0 then call('ZADD', p..':l', 'XX', unpack(z)) end
return out
