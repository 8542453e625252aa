-- flag no-writes. ARGV tenant, place, offset, limit -> ids; place = s y k (timers) a (running) x q (kept), or a
-- lane's name and level (waiting)
local k, place, offset, limit = kt..ARGV[1]..':', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if place == 'a' then
  local ids, out = call('HKEYS', k..'a'), {}
  table.sort(ids)
  for i = offset + 1, min(#ids, offset + limit) do out[#out + 1] = ids[i] end
  return out
end
if #place == 1 then return call('ZRANGE', k..place, offset, offset + limit - 1) end
local lane, level = smatch(place, '^(.*)%.(%d)$')
local number = lane_number(lane)
if not number then return {} end
local ids = call('LRANGE', k..number..'.'..level, offset, offset + limit - 1)
if call('EXISTS', k..'H') == 0 or #ids == 0 then return ids end
local ghosts, out = call('HMGET', k..'H', unpack(ids)), {}
for i = 1, #ids do out[i] = ghosts[i] and '' or ids[i] end
return out
