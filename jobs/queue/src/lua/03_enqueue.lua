-- Enqueueing: blocks of arguments that `enqueue` and `finish` share
-- ------------------------------------------------------------------------------------------------------------
--  'g' tenant group policy id due group-of-id queue record      opens a group with its continuation
--  'e' tenant skill queue level due group count (id record)*     jobs that go to the same place, of one branch
--  'n' tenant skill queue level due group scope key period_ms on_conflict id record      a unique job
-- due 0 = now; group '' = none; policy a = the continuation runs however members end, c = a failure cancels the
-- rest; scope s = until started, f = until finished, p = for a period; on_conflict k = keep the job that is
-- there, r = put the new one in its place, t = give it the new one's time
local opened    -- tenant, group of the groups opened in this call
local conflicts -- new id, id of the job that has its key, what was done
local left_out  -- ids of the jobs of 'e' blocks that were not new

local function block_width(i)
  local op = ARGV[i]
  if op == 'e' then return 8 + 2 * ARGV[i + 7] end
  return op == 'n' and 13 or op == 'g' and 9 or nil
end

local function open_group(i, s)
  local t, group, id = ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local key, record = kt..t..':g:'..group, stamped(s, ARGV[i + 8])
  skill_number(smatch(record, '^[^\n\t]*', SKILL_AT), ARGV[i + 7]) -- its skill may be new
  call('HSETNX', key, 'c', id..'\n'..ARGV[i + 5]..'\n'..record)
  call('HSETNX', key, 'f', 0)
  call('HSETNX', key, 'p', ARGV[i + 3])
  opened[#opened + 1] = {t, group}
  if ARGV[i + 6] ~= '' then group_join(t, s, ARGV[i + 6], id, group) end
end

-- Groups none of whose members is still to run.
local function close_opened(S, now)
  for j = 1, #opened do
    local t, group = opened[j][1], opened[j][2]
    if call('HEXISTS', kt..t..':g:'..group, 'c') == 1 then guarded(t, group_close, t, S[t], group, now) end
  end
end

-- An id that the queue has is left alone: it joins its group unless it has ended. One that was cancelled while
-- it waited stays cancelled.
local function enqueue_known(t, s, id, group)
  if group == '' then return end
  local k = kt..t..':'
  if not (call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)) then group_join(t, s, group, id) end
end

local function put(now, t, s, skill, level, due, ids, branch)
  if due > now then
    local z = {}
    for i = 1, #ids do z[2 * i - 1] = int(due); z[2 * i] = ids[i] end
    call('ZADD', kt..t..':s', unpack(z))
    call('ZADD', kw, 'LT', int(due), 's'..t)
  else into(t, s, skill, level, branch, ids) end
end

-- Returns how many were new.
local function enqueue_block(now, i, s)
  local t, group, n, at = ARGV[i + 1], ARGV[i + 6], tonumber(ARGV[i + 7]), i + 8
  local ids, skill = {}, skill_number(ARGV[i + 2], ARGV[i + 3])
  for j = 1, n do ids[j] = ARGV[at + 2 * j - 2] end
  local known, new, seen, bytes = call('HMGET', ke, unpack(ids)), {}, {}, 0
  local ghosts = has(s, F.ghosts) and call('HMGET', kt..t..':H', unpack(ids))
  for j = 1, n do
    local id = ids[j]
    if known[j] or seen[id] then
      left_out[#left_out + 1] = id
      enqueue_known(t, s, id, group)
    elseif ghosts and ghosts[j] then left_out[#left_out + 1] = id
    else
      seen[id] = true
      new[#new + 1] = id
      bytes = bytes + #ARGV[at + 2 * j - 1]
      if group ~= '' then group_join(t, s, group, id) end
    end
  end
  if #new == 0 then return 0 end
  if #new == n and s.ep == 0 then call('HSET', ke, unpack(ARGV, at, at + 2 * n - 1))
  else
    for j = 1, n do
      if seen[ids[j]] and not known[j] then call('HSETNX', ke, ids[j], stamped(s, ARGV[at + 2 * j - 1])) end
    end
  end
  weigh(s, bytes)
  put(now, t, s, skill, tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]), new, branch_of(ARGV[at + 1]))
  return #new
end

-- The new job takes the place of the one that has its key, if that still waits. Returns whether it did.
local function replace(now, i, s, old)
  local t, level, id = ARGV[i + 1], tonumber(ARGV[i + 4]), ARGV[i + 11]
  local k, branch = kt..t..':', branch_of(ARGV[i + 12])
  local r, skill = parse(own(t, call('HGET', ke, old))), skill_number(ARGV[i + 2], ARGV[i + 3])
  if not r or call('HEXISTS', k..'a', old) == 1 or call('ZSCORE', k..'x', old) or call('ZSCORE', k..'q', old) then
    return false
  end
  local kind, due
  for x in pairs(TIMERS) do
    local score = call('ZSCORE', k..x, old)
    if score then kind, due = x, tonumber(score) end
  end
  local list, at = list_of(t, s, r.skill, r.level, r.branch), nil
  if not kind and r.skill == skill and r.level == level and r.branch == branch then
    at = call('LPOS', list, old, 'MAXLEN', 1000) or call('LPOS', list, old, 'RANK', -1, 'MAXLEN', 1000)
  end
  if at then call('LSET', list, at, id) end
  cancel(t, s, {old}, now)
  if at then
    call('HDEL', k..'H', old)
    mark(t, s, skill, level)
  elseif kind then to_timer(t, 's', due, id)
  else put(now, t, s, skill, level, 0, {id}, branch) end
  return true
end

-- A job that has its key waits for another time from now on. One that waits for a worker is not put off.
local function reschedule(now, t, s, old, due)
  for _, kind in ipairs({'s', 'y'}) do
    if call('ZSCORE', kt..t..':'..kind, old) then to_timer(t, kind, max(due, now), old); return true end
  end
  return false
end

-- Returns how many were new.
local function enqueue_unique(now, i, s)
  local t, due, group, id = ARGV[i + 1], tonumber(ARGV[i + 5]), ARGV[i + 6], ARGV[i + 11]
  if call('HEXISTS', ke, id) == 1 then enqueue_known(t, s, id, group); return 0 end
  if has(s, F.ghosts) and call('HEXISTS', kt..t..':H', id) == 1 then return 0 end
  local scope, key, period, how = ARGV[i + 7], ARGV[i + 8], tonumber(ARGV[i + 9]), ARGV[i + 10]
  local holder, done = lock(t, s, now, id, scope, key, period), 'kept'
  if holder then
    if how == 't' and reschedule(now, t, s, holder, due) then done = 'rescheduled' end
    if how == 'r' and replace(now, i, s, holder) then done = 'replaced' end
    for _, x in ipairs({id, holder, done}) do conflicts[#conflicts + 1] = x end
    if done ~= 'replaced' then return 0 end
    call('HDEL', kt..t..':u', key) -- a period starts again
    lock(t, s, now, id, scope, key, period)
  else
    put(now, t, s, skill_number(ARGV[i + 2], ARGV[i + 3]), tonumber(ARGV[i + 4]), due, {id}, branch_of(ARGV[i + 12]))
  end
  local record = stamped(s, ARGV[i + 12])
  call('HSET', ke, id, record)
  weigh(s, #record)
  if group ~= '' then group_join(t, s, group, id) end
  return 1
end

-- Returns how many were new.
local function enqueue_any(now, i, s)
  local op = ARGV[i]
  if op == 'g' then open_group(i, s); return 0 end
  if op == 'e' then return enqueue_block(now, i, s) end
  return enqueue_unique(now, i, s)
end
