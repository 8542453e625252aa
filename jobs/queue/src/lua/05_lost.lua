-- Jobs that a caller expects to be here, and that may have been lost
-- ------------------------------------------------------------------------------------------------------
-- What is lost in lists with more jobs is found when they are shorter: a script has to end soon.
local LOOKED_THROUGH = 10000
local listed -- tenant -> the ids in its lists, or false when they are too long; of this call

-- Whether a job is in one of its tenant's lists. nil: it would take too long to say.
local function in_a_list(t, s, id)
  if listed[t] == nil then
    local keys, total = {}, 0
    for skill = 0, min(floor(call('HLEN', kL) / 3), 256) - 1 do
      for level = 0, LEVELS do
        for _, key in ipairs(lists_of(t, s, skill, level)) do
          local n = call('LLEN', key)
          if n > 0 then keys[#keys + 1] = key; total = total + n end
        end
      end
    end
    listed[t] = false
    if total <= LOOKED_THROUGH then
      local ids = {}
      for i = 1, #keys do
        local list = call('LRANGE', keys[i], 0, -1)
        for j = 1, #list do ids[list[j]] = true end
      end
      listed[t] = ids
    end
  end
  return listed[t] and listed[t][id] == true or nil
end

-- Where a job is:
--  t = where it runs by itself     k = a dead letter, or in quarantine      e = it has ended lately
--  b = its record was lost or damaged: it is in quarantine for that, or nowhere
--  l = it has a record, and nothing leads to it                             g = it is gone
local function whereabouts(t, s, id)
  local k = kt..t..':'
  if call('ZSCORE', k..'x', id) then return 'k' end
  if call('ZSCORE', k..'q', id) then
    return sfind(call('HGET', k..'z', id) or '', '^record_') and 'b' or 'k'
  end
  if call('HEXISTS', k..'a', id) == 1 then return 't' end
  for kind in pairs(TIMERS) do if call('ZSCORE', k..kind, id) then return 't' end end
  local record = own(t, call('HGET', ke, id))
  local r = parse(record)
  if r then
    -- What was cancelled with its tenant is swept.
    if r.epoch ~= s.ep then return 't' end
    -- Ids begin with their time: as long as older ones are in front, it may wait behind them.
    local head = call('LINDEX', list_of(t, s, r.skill, r.level, r.branch), 0)
    if head and head <= id then return 't' end
  else
    if has(s, F.ghosts) and call('HEXISTS', k..'H', id) == 1 then return 'e' end
    if ending_of(t, id) then return 'e' end
  end
  -- An id in a list without a record goes to quarantine when it is its turn.
  if in_a_list(t, s, id) or not listed[t] then return 't' end
  return r and 'l' or record and 'b' or 'g'
end
