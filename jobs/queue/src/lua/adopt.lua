-- ARGV now, tenant, row, (skill number there, skill, its queue)*: takes over a tenant from another shard, whose jobs
-- are here already. Skills have other numbers here.
local now, t, s = clock(ARGV[1]), ARGV[2], dec(ARGV[2], ARGV[3])
if s.at ~= -1 then -- else it could not be read, and was made again from what is here
  local skills, b, turns = {}, {}, {}
  for i = 4, #ARGV, 3 do
    local there = tonumber(ARGV[i])
    if s.b[there] then
      local here = skill_number(ARGV[i + 1], ARGV[i + 2])
      skills[#skills + 1] = here
      b[here], turns[here] = s.b[there], s.turns[there]
    end
  end
  s.skills, s.b, s.turns = skills, b, turns
end
s.idx, s.at, s.st, s.dirty = {}, 0, IDLE, true
settle({t}, {[t] = s}, now)
return 1
