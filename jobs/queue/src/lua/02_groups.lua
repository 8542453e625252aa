-- Groups and cancelling
-- -----------------------------------------------------------------------------------------------------------

local CANCEL_AT_ONCE = 250 -- a script has to end soon; the rest is swept
local group_leave

-- inner: the group that has to close before this member, its continuation, is enqueued
local function group_join(t, s, group, id, inner)
  local k = kt..t..':'
  if call('HEXISTS', k..'g:'..group, 'c') == 0 then return end
  if call('HSETNX', k..'m', id, group) == 1 then
    call('HSET', k..'g:'..group, id, inner or '')
    raise(s, F.groups)
  end
end

-- Enqueues the continuation when nobody is left. The group is gone then, so it cannot happen twice.
local function group_close(t, s, group, now)
  local key = kt..t..':g:'..group
  if call('HLEN', key) > 3 then return end -- c f p
  local id, due, record = smatch(call('HGET', key, 'c') or '', '^([^\n]*)\n([^\n]*)\n(.*)$')
  call('DEL', key)
  if not id then return end
  local r = parse(own(t, record))
  if r and r.epoch ~= s.ep then -- the tenant's work was called off meanwhile
    count(t, 'cancelled', 1)
    group_leave(t, s, id, true, now)
    return
  end
  -- It was there before: cancelled while it waited, or kept, it has ended for whoever waits for it.
  local k = kt..t..':'
  local ended = has(s, F.ghosts) and call('HEXISTS', k..'H', id) == 1
  if not ended and call('HSETNX', ke, id, record) == 0 then
    ended = call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)
    if not ended then return end
  end
  if ended then group_leave(t, s, id, true, now); return end
  weigh(s, #record)
  if not r then keep(t, s, 'q', id, 'record_damaged\nthe continuation of a group cannot be read', now)
  elseif (number(due) or 0) > now then to_timer(t, 's', number(due), id)
  else to_list(t, s, r, id) end
end

-- Puts work where `sweep` finds it. kind: c = ids to cancel, d = what a called-off tenant left behind
local function litter(t, s, kind, key)
  call('RPUSH', p..':gc', kind..t..'\n'..key)
  call('HINCRBY', p..':gn', t, 1)
  raise(s, F.garbage)
end

-- Calls jobs off. What waits leaves at once; what runs is told to stop. Returns a letter for each:
-- c = cancelled, r = told to stop, k = is a dead letter or in quarantine, n = not there
local function cancel(t, s, ids, now)
  local k, out, gone = kt..t..':', {}, {}
  local recs, claims = call('HMGET', ke, unpack(ids)), call('HMGET', k..'a', unpack(ids))
  local over, apart = call('ZMSCORE', k..'x', unpack(ids)), call('ZMSCORE', k..'q', unpack(ids))
  local timer = {}
  for kind in pairs(TIMERS) do timer[kind] = call('ZMSCORE', k..kind, unpack(ids)) end
  local seen = {}
  for i = 1, #ids do
    recs[i] = own(t, recs[i])
    local id, r, waits = ids[i], parse(recs[i]), nil
    for kind in pairs(TIMERS) do if timer[kind][i] then waits = kind end end
    if over[i] or apart[i] then out[i] = 'k'
    elseif not recs[i] or seen[id] or (r and r.epoch ~= s.ep) then out[i] = 'n'
    elseif not r and not claims[i] and not waits then out[i] = 'n' -- whose it is cannot be read
    elseif claims[i] then
      out[i] = 'r'
      call('HSET', k..'c', id, claims[i])
      call('ZADD', p..':s', int(now), claims[i]..' '..id)
      raise(s, F.cancels)
    else
      out[i] = 'c'
      seen[id] = true
      gone[#gone + 1] = id
      weigh(s, -#recs[i])
      if waits then call('ZREM', k..waits, id) else call('HSET', k..'H', id, r.label); raise(s, F.ghosts) end
    end
  end
  if #gone > 0 then
    call('HDEL', ke, unpack(gone))
    unlock(t, s, gone)
    count(t, 'cancelled', #gone)
    remember('-'..t, gone, 1, #gone)
    for i = 1, #gone do group_leave(t, s, gone[i], true, now) end
  end
  return out
end

-- Calls a group off: its continuation, every member that has not ended, and the groups that members wait for.
-- Returns how many members there were.
local function group_cancel(t, s, group, now)
  local k = kt..t..':'
  local key, members, inner, continuation = k..'g:'..group, {}, {}, nil
  local fields = call('HGETALL', key)
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if field == 'c' then continuation = value end
    if #field > 1 then members[#members + 1] = field end
    if #field > 1 and value ~= '' then inner[#inner + 1] = value end
  end
  call('DEL', key)
  if #members > 0 then call('HDEL', k..'m', unpack(members)) end
  if call('EXISTS', k..'m') == 0 then lower(s, F.groups) end
  local id = smatch(continuation or '', '^([^\n]*)\n')
  if id then
    remember('-'..t, {id}, 1, 1)
    count(t, 'cancelled', 1)
    group_leave(t, s, id, true, now)
  end
  for i = 1, #inner do group_cancel(t, s, inner[i], now) end
  local first = {}
  for i = 1, min(#members, CANCEL_AT_ONCE) do first[i] = members[i] end
  if #first > 0 then cancel(t, s, first, now) end
  if #members > #first then
    local rest = k..'~'..call('INCR', p..':G')
    call('RPUSH', rest, unpack(members, #first + 1))
    litter(t, s, 'c', rest)
  end
  return #members
end

-- The job has reached a final state.
group_leave = function(t, s, id, failed, now)
  if not has(s, F.groups) then return end
  local k = kt..t..':'
  local group = call('HGET', k..'m', id)
  if not group then return end
  call('HDEL', k..'m', id)
  if call('EXISTS', k..'m') == 0 then lower(s, F.groups) end
  if call('HDEL', k..'g:'..group, id) == 0 then return end
  if failed then
    call('HINCRBY', k..'g:'..group, 'f', 1)
    if call('HGET', k..'g:'..group, 'p') == 'c' then group_cancel(t, s, group, now); return end
  end
  group_close(t, s, group, now)
end

-- A job's record cannot be read, or is another tenant's: it goes to quarantine. What is no id is dropped.
local function put_aside(t, s, id, now)
  if not is_id(id) then
    damage('t:'..t, 'dropped what is no id of a job')
    return
  end
  keep(t, s, 'q', id, 'record_damaged\nthe queue\'s own record of the job cannot be read', now)
  group_leave(t, s, id, true, now)
end

-- A job that was running is cancelled now.
local function called_off(t, s, id, now)
  if has(s, F.bytes) then weigh(s, -call('HSTRLEN', ke, id)) end
  forget(t, id)
  unlock(t, s, {id})
  count(t, 'cancelled', 1)
  remember('-'..t, {id}, 1, 1)
  group_leave(t, s, id, true, now)
end
