-- flag no-writes. ARGV tenant, x | q, offset, limit -> {id, since, why, ...}, newest first
local k, out = kt..ARGV[1]..':', {}
local from = tonumber(ARGV[3])
local z = call('ZREVRANGE', k..ARGV[2], from, from + tonumber(ARGV[4]) - 1, 'WITHSCORES')
for i = 1, #z, 2 do
  out[#out + 1] = z[i]
  out[#out + 1] = z[i + 1]
  out[#out + 1] = call('HGET', k..'z', z[i]) or ''
end
return out
