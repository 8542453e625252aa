-- flag no-writes. ARGV tenant, place, limit [, last, mark, behind: where the page before ended]
-- -> {behind, mark, (id, of it)*}, or {behind, mark, (id, since, why)*} of what is kept
-- place                  order                          of it            mark
-- s y k timers           due first, then by id          its due time
-- x q   kept             newest first, then by id       since, why
-- a     running          by id                          ''
-- SKILL.LEVEL[\tBRANCH]   in turn                        '1' = cancelled  the last id of the list
-- behind = how many follow the last one shown. A page begins after `last`, whether that is still there or not.
local k, place, limit, last, mark = kt..ARGV[1]..':', ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local FURTHEST = 1000000 -- a script has to end soon
local out = {}

local function running()
  local ids, from = call('HKEYS', k..'a'), 1
  table.sort(ids)
  while last and ids[from] and ids[from] <= last do from = from + 1 end
  local to = min(#ids, from + limit - 1)
  for i = from, to do out[#out + 1] = ids[i]; out[#out + 1] = '' end
  return #ids - max(to, from - 1), ''
end

-- How many members come before (score, id), itself included if `through`. Ties are in the order of their ids.
local function before(key, score, id, through)
  local low, high = call('ZCOUNT', key, '-inf', '('..score), call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = floor((low + high) / 2)
    local there = call('ZRANGE', key, middle, middle)[1]
    if there < id or (through and there == id) then low = middle + 1 else high = middle end
  end
  return low
end

local function timed(key)
  local from = last and before(key, mark, last, true) or 0
  out = call('ZRANGE', key, from, from + limit - 1, 'WITHSCORES')
  return max(0, call('ZCARD', key) - from - #out / 2), ''
end

local function kept(key)
  local size = call('ZCARD', key)
  local from = last and size - before(key, mark, last, false) or 0
  local z = call('ZREVRANGE', key, from, from + limit - 1, 'WITHSCORES')
  for i = 1, #z, 2 do
    out[#out + 1] = z[i]
    out[#out + 1] = z[i + 1]
    out[#out + 1] = call('HGET', k..'z', z[i]) or ''
  end
  return max(0, size - from - #z / 2), ''
end

-- Jobs leave at the head and come at the tail, and those that are given back come at the head: what was last in the
-- list stays as far behind the jobs before it. When it has gone, so have they all; but a unique job may have taken its
-- place, and then the last job that was shown tells, as long as it has not come again at the tail.
local function resumed(key, length, behind)
  local tail = call('LPOS', key, mark, 'RANK', -1, 'MAXLEN', FURTHEST)
  if tail then return max(0, tail - behind + 1) end
  local at = call('LPOS', key, last, 'MAXLEN', FURTHEST)
  if at and length - at > behind then return at + 1 end
  return 0
end

local function waiting(key)
  local length = call('LLEN', key)
  local from = last and resumed(key, length, tonumber(ARGV[6])) or 0
  local ids = call('LRANGE', key, from, from + limit - 1)
  local ghosts = #ids > 0 and call('HMGET', k..'H', unpack(ids)) or {}
  for i = 1, #ids do out[#out + 1] = ids[i]; out[#out + 1] = ghosts[i] and '1' or '' end
  return max(0, length - from - #ids), call('LINDEX', key, -1) or ''
end

local behind, tail
if place == 'a' then behind, tail = running()
elseif place == 'x' or place == 'q' then behind, tail = kept(k..place)
elseif #place == 1 then behind, tail = timed(k..place)
else
  local skill, level, branch = smatch(place, '^([^\t]*)%.(%d)\t?(.*)$')
  local number, s = skill_number(skill), dec(ARGV[1], call('HGET', kT, ARGV[1]))
  level = tonumber(level)
  if not number or level > LEVELS then return {'0', ''} end
  local key = list_of(ARGV[1], s, number, level, branch)
  -- A list of one branch may be another's by now.
  if not in_turns(s, number, level) and (branch_in(ARGV[1], s, key) or branch) ~= branch then return {'0', ''} end
  behind, tail = waiting(key)
end
return {int(behind), tail, unpack(out)}
