-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, lease_ms, count, claim*count, (tenant, us worked beyond what was charged)*
-- -> 1 or 0 for each claim: 0 = reaped or finished, stop its work
local now, n = clock(ARGV[1]), tonumber(ARGV[3])
local z, out = {}, {}
if n > 0 then
  local live = call('ZMSCORE', p..':l', unpack(ARGV, 4, 3 + n))
  for j = 1, n do
    out[j] = live[j] and 1 or 0
    if live[j] then
      z[#z + 1] = int(now + tonumber(ARGV[2]))
      z[#z + 1] = ARGV[j + 3]
    end
  end
  if #z > 0 then call('ZADD', p..':l', 'XX', unpack(z)) end
end
local names = {}
for i = 4 + n, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local S = rows(names)
for i = 4 + n, #ARGV, 2 do charge(S[ARGV[i]], tonumber(ARGV[i + 1])) end
settle(names, S, now)
return out
