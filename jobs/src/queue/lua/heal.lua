-- ARGV now, lease_ms, cursor, count -> {next cursor, claims that had lost their lease}: compares what is in
-- flight with the leases, some tenants at a time, and removes rows that say nothing.
-- A claim without a lease gets one, rather than an end: if its worker lives it will renew, else it is reaped.
local now, lease = clock(ARGV[1]), tonumber(ARGV[2])
local page = call('HSCAN', kT, ARGV[3], 'COUNT', ARGV[4])
local v, healed = virtual_clock(), 0

-- How many of the jobs that a claim has written down it still holds.
local function jobs_left(claim)
  local rec, left, i = {}, 0, 1
  for x in string.gmatch(call('GET', p..':c:'..claim) or '', '[^\n]+') do rec[#rec + 1] = x end
  while i <= #rec do
    local c = tonumber(rec[i + 1])
    local holders = call('HMGET', kt..rec[i]..':a', unpack(rec, i + 2, i + 1 + c))
    for j = 1, c do if holders[j] == claim then left = left + 1 end end
    i = i + 2 + c
  end
  return left
end

local function heal_claims(t)
  local held = {}
  local x = call('HGETALL', kt..t..':a')
  for i = 1, #x, 2 do
    local claim = x[i + 1]
    held[claim] = held[claim] or {}
    table.insert(held[claim], x[i])
  end
  for claim, ids in pairs(held) do
    local key, whole = p..':c:'..claim, true
    if not call('ZSCORE', p..':l', claim) then
      call('ZADD', p..':l', int(now + lease), claim)
      healed, whole = healed + 1, false
    end
    -- What it claimed is written down again as well, if that was lost.
    if not string.find(call('GET', key) or '', ids[1], 1, true) then
      call('APPEND', key, '\n'..t..'\n'..#ids..'\n'..table.concat(ids, '\n')..'\n')
      whole = false
    end
    if not whole or call('HEXISTS', p..':n', claim) == 0 then call('HSET', p..':n', claim, jobs_left(claim)) end
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
