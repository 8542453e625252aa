-- flag no-writes. ARGV tenant -> the state of waiting jobs, then names of the lists with them, as `list` takes them
local t, out = ARGV[1], {}
local s = dec(t, call('HGET', kT, t))
out[1] = has(s, F.suspended) and 'parked' or 'available'
for i = 1, #s.skills do
  local name = call('HGET', kL, '#'..s.skills[i])
  for level = 0, 3 do
    if name and band(s.b[s.skills[i]], BIT[level]) ~= 0 then out[#out + 1] = name..'.'..level end
  end
end
return out
