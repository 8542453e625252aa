-- ARGV now, lease_ms, cursor, count -> {next cursor, claims that had lost their lease}: compares what is in
-- flight with the leases, some tenants at a time, and removes rows that say nothing.
-- A claim without a lease gets one, rather than an end: if its worker lives it will renew, else it is reaped.
local now, lease = clock(ARGV[1]), tonumber(ARGV[2])
local page = call('HSCAN', kT, ARGV[3], 'COUNT', ARGV[4])
local v, healed = virtual_clock(), 0

local function heal_claims(t)
  local k, held = kt..t..':', {}
  local x = call('HGETALL', k..'a')
  for i = 1, #x, 2 do
    local claim = x[i + 1]
    held[claim] = held[claim] or {}
    table.insert(held[claim], x[i])
  end
  for claim, ids in pairs(held) do
    if not call('ZSCORE', p..':l', claim) then
      call('ZADD', p..':l', int(now + lease), claim)
      call('HINCRBY', p..':n', claim, call('HEXISTS', p..':n', claim) == 1 and 0 or #ids)
      healed = healed + 1
    end
    -- What it claimed is written down again as well, if that was lost.
    local key = p..':c:'..claim
    if not string.find(call('GET', key) or '', ids[1], 1, true) then
      call('APPEND', key, '\n'..t..'\n'..#ids..'\n'..table.concat(ids, '\n')..'\n')
    end
  end
end

-- Slots of types that nobody holds.
local function free_slots(t, s)
  local k = kt..t..':'
  for kind in pairs(caps_of(t, s)) do
    for _, id in ipairs(call('SMEMBERS', k..'a:'..kind)) do
      if call('HEXISTS', k..'a', id) == 0 then
        call('SREM', k..'a:'..kind, id)
        for i = #s.ln, 1, -1 do lane_off(s, s.ln[i], LANE_CAPPED) end
      end
    end
  end
end

for i = 1, #page[2], 2 do
  local t, s = page[2][i], dec(page[2][i], page[2][i + 1])
  local na = in_flight(t)
  if na > 0 and na <= 5000 then heal_claims(t) end
  if has(s, F.caps) and na <= 5000 then free_slots(t, s) end
  if has(s, F.unique) then expire_keys(t, s, now, 50) end
  if s.dirty then place(t, s, na, v, now) end
  if s.dirty or (s.st == IDLE and s.fl == 0) then save(t, s, na, v, now) end
end
flush()
for lane in pairs(woken) do wake(lane) end
return {page[1], healed}
