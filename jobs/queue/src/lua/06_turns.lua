-- Turns inside a tenant: of its lanes, and of the branches of a level
-- ------------------------------------------------------------------------------------------------------------

-- Which lane a tenant's visit number c begins with, by its first level, how many visits began with it, and how many
-- levels are to be looked at. A lane that is alone has all visits.
local function lane_of(s, c)
  local interactive, bulk = false, false
  for i = 1, #s.skills do
    local b = s.b[s.skills[i]]
    if open(b) then interactive, bulk = interactive or b % 16 > 0, bulk or b >= 16 end
  end
  if not bulk then return 0, c, BULK end
  if not interactive then return BULK, c, BULK end
  local of_bulk = floor(c / BULK_TURN)
  if c % BULK_TURN == 0 then return BULK, of_bulk, LEVELS + 1 end
  return 0, c - of_bulk, LEVELS + 1
end

-- Takes jobs of several branches in turn, as many of each as fit into one round, so that none waits for another's
-- backlog; returns them, and whether there are more. The last branch that is left has the list for itself.
local function take_in_turns(t, s, skill, level, want)
  local key, x = kt..t..':'..skill..'.'..level, {}
  local turns = key..'*'
  local each = max(1, floor(want / max(1, call('LLEN', turns))))
  while #x < want do
    local branch = call('LPOP', turns)
    if not branch then break end
    local some = call('LPOP', key..'/'..branch, min(each, want - #x)) or {}
    for i = 1, #some do x[#x + 1] = some[i] end
    if call('EXISTS', key..'/'..branch) == 1 then call('RPUSH', turns, branch) end
  end
  local others = call('LRANGE', turns, 0, 1)
  if #others > 1 then return x, true end
  set_turns(s, skill, level, false)
  if #others == 0 then return x, false end
  call('UNLINK', turns)
  if call('EXISTS', key..'/'..others[1]) == 0 then return x, false end
  call('RENAME', key..'/'..others[1], key)
  return x, true
end

-- Takes jobs from a level; returns them, and whether there may be more.
local function take_waiting(t, s, skill, level, want)
  if in_turns(s, skill, level) then return take_in_turns(t, s, skill, level, want) end
  local x = call('LPOP', kt..t..':'..skill..'.'..level, want) or {}
  return x, #x == want
end

local function emptied(s, skill, level) skill_off(s, skill, BIT[level]) end
