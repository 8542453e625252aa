-- Where a job is
-- ---------------------------------------------------------------------------------------------------

local function to_list(t, s, lane, level, id, first)
  call(first and 'LPUSH' or 'RPUSH', kt..t..':'..lane..'.'..level, id)
  mark(s, lane, level)
end

local function to_timer(t, kind, due, id)
  call('ZADD', kt..t..':'..kind, int(due), id)
  call('ZADD', kw, 'LT', int(due), kind..t)
end

-- Records: '1' level attempts deaths interruptions parks lane \n tenant \n note \n wire. nil when damaged.
local HEADER = '^1([0-3])(%d%d%d)(%d%d)(%d%d%d)(%d%d)([^\n]*)\n([^\n]*)\n([^\n]*)\n()'
local function parse(val)
  if not val then return nil end
  local level, attempts, deaths, interruptions, parks, lane, tenant, note, at = smatch(val, HEADER)
  if not level then return nil end
  local number = lane_number(lane)
  if not number then return nil end
  return {level = tonumber(level), attempts = tonumber(attempts), deaths = tonumber(deaths),
    interruptions = tonumber(interruptions), parks = tonumber(parks), name = lane, lane = number,
    tenant = tenant, note = note, wire = ssub(val, at)}
end

local function store(id, r)
  local counters = fmt('1%d%03d%02d%03d%02d', r.level, min(r.attempts, 999), min(r.deaths, 99),
    min(r.interruptions, 999), min(r.parks, 99))
  call('HSET', ke, id, counters..r.name..'\n'..r.tenant..'\n'..r.note..'\n'..r.wire)
end

local function count(t, outcome, n)
  local c = counts[t]
  if not c then c = {}; counts[t] = c end
  c[outcome] = (c[outcome] or 0) + n
end

local function flush_counts()
  for t, c in pairs(counts) do
    for outcome, n in pairs(c) do call('HINCRBY', kt..t..':o', outcome, n) end
  end
  counts = {}
end

-- Keeps a job that will not run by itself: kind x = dead letter, q = quarantine. The oldest makes room.
local function keep(t, kind, id, why, now)
  local k = kt..t..':'
  call('ZADD', k..kind, int(now), id)
  call('HSET', k..'z', id, why)
  local over = call('ZCARD', k..kind) - KEEP
  if over > 0 then
    local old = call('ZPOPMIN', k..kind, min(over, 100))
    for i = 1, #old, 2 do call('HDEL', ke, old[i]); call('HDEL', k..'z', old[i]) end
  end
  count(t, kind == 'x' and 'discarded' or 'quarantined', 1)
end

-- Groups
-- -----------------------------------------------------------------------------------------------------------

local function group_join(t, group, id)
  local k = kt..t..':'
  if call('HEXISTS', k..'g:'..group, 'c') == 0 then return end
  if call('HSETNX', k..'m', id, group) == 1 then call('HSET', k..'g:'..group, id, '') end
end

-- Enqueues the continuation when nobody is left. The group is gone then, so it cannot happen twice.
local function group_close(t, s, group, now)
  local key = kt..t..':g:'..group
  if call('HLEN', key) > 2 then return end
  local id, due, record = smatch(call('HGET', key, 'c') or '', '^([^\n]*)\n([^\n]*)\n(.*)$')
  call('DEL', key)
  if not id then return end
  if call('HSETNX', ke, id, record) == 0 then return end
  local r = parse(record)
  if not r then keep(t, 'q', id, 'record_damaged\nthe continuation of a group cannot be read', now)
  elseif tonumber(due) > now then to_timer(t, 's', tonumber(due), id)
  else to_list(t, s, r.lane, r.level, id) end
end

-- The job has reached a final state.
local function group_leave(t, s, id, failed, now)
  local k = kt..t..':'
  local group = call('HGET', k..'m', id)
  if not group then return end
  call('HDEL', k..'m', id)
  if call('HDEL', k..'g:'..group, id) == 0 then return end
  if failed then call('HINCRBY', k..'g:'..group, 'f', 1) end
  group_close(t, s, group, now)
end

-- A job's record cannot be read: it is put aside and the next one runs.
local function put_aside(t, s, id, now)
  keep(t, 'q', id, 'record_damaged\nthe queue\'s own record of the job cannot be read', now)
  group_leave(t, s, id, true, now)
end

-- Enqueues the n pairs (id, record) at ARGV[at..], which share tenant, lane, level, due time and group ('' =
-- none). An id that the queue has is left alone. Returns how many were new.
local function enqueue_block(now, t, s, lane_name, level, due, group, at, n)
  local ids, lane = {}, lane_number(lane_name, true)
  for i = 1, n do ids[i] = ARGV[at + 2 * i - 2] end
  local known, new, seen = call('HMGET', ke, unpack(ids)), {}, {}
  for i = 1, n do
    local id = ids[i]
    if known[i] or seen[id] then
      local k = kt..t..':'
      local over = call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)
      if group ~= '' and not over then group_join(t, group, id) end
    else
      seen[id] = true
      new[#new + 1] = id
      if group ~= '' then group_join(t, group, id) end
    end
  end
  if #new == 0 then return 0 end
  if #new == n then call('HSET', ke, unpack(ARGV, at, at + 2 * n - 1))
  else
    for i = 1, n do if not known[i] then call('HSETNX', ke, ids[i], ARGV[at + 2 * i - 1]) end end
  end
  if due > now then
    local z = {}
    for i = 1, #new do z[2 * i - 1] = int(due); z[2 * i] = new[i] end
    call('ZADD', kt..t..':s', unpack(z))
    call('ZADD', kw, 'LT', int(due), 's'..t)
  else
    call('RPUSH', kt..t..':'..lane..'.'..level, unpack(new))
    mark(s, lane, level)
  end
  return #new
end
