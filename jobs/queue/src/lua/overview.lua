-- flag no-writes. ARGV now, tenant* -> for each {state, in flight, cap | '', weight, may start at, draining, available,
-- the oldest id of these | '', scheduled, retryable, parked, dead letters, quarantined, completed, cancelled, discarded},
-- or {} of one whose keys are damaged. state = idle ready capped limited paused suspended
local now, out = clock(ARGV[1]), {}
local STATES = {[IDLE] = 'idle', [READY] = 'ready', [CAPPED] = 'capped', [LIMITED] = 'limited', [PAUSED] = 'paused'}

local function described(t)
  local k, s = kt..t..':', dec(t, call('HGET', kT, t))
  local available, oldest, held = 0, '', 0
  for i = 1, #s.skills do
    local skill = s.skills[i]
    local b = s.b[skill]
    for level = 0, LEVELS do
      if band(b, BIT[level]) ~= 0 then
        for _, list in ipairs(lists_of(t, s, skill, level)) do
          local head = call('LINDEX', list, 0)
          available = available + call('LLEN', list)
          -- Ids begin with their time.
          if head and (oldest == '' or head < oldest) then oldest = head end
        end
        if band(b, SKILL_PAUSED) ~= 0 then held = SKILL_PAUSED
        elseif held == 0 and band(b, SKILL_CAPPED) ~= 0 then held = SKILL_CAPPED end
      end
    end
  end
  if has(s, F.ghosts) then available = max(0, available - call('HLEN', k..'H')) end
  local na, parked = in_flight(t), call('ZCARD', k..'k')
  local state = STATES[state_of(s, na, now)]
  -- Nothing may start although something waits: each of its queues or types is held back.
  if state == 'idle' and available > 0 then state = held == SKILL_PAUSED and 'paused' or 'capped' end
  if has(s, F.suspended) then state, parked, available = 'suspended', parked + available, 0 end
  local row = {state, na, s.cap < UNCAPPED and int(s.cap) or '', int(s.w), int(blocked_until(s)),
    has(s, F.draining) and 1 or 0, available, oldest, call('ZCARD', k..'s'), call('ZCARD', k..'y'), parked,
    call('ZCARD', k..'x'), call('ZCARD', k..'q')}
  row[#row + 1], row[#row + 2], row[#row + 3] = totals_of(t)
  return row
end

for i = 2, #ARGV do
  local ok, row = lpcall(described, ARGV[i])
  out[#out + 1] = ok and row or {}
end
return out
