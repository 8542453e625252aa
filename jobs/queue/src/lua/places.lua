-- flag no-writes. ARGV tenant -> the state of waiting jobs, then names of the lists with them, as `list` takes them
local t, out = ARGV[1], {}
local s = dec(t, call('HGET', kT, t))
out[1] = has(s, F.suspended) and 'parked' or 'available'
for i = 1, #s.skills do
  local name = call('HGET', kL, '#'..s.skills[i])
  for level = 0, LEVELS do
    local key, branches = kt..t..':'..s.skills[i]..'.'..level, {}
    if in_turns(s, s.skills[i], level) then branches = call('LRANGE', key..'*', 0, MOST_BRANCHES)
    elseif name and has_jobs(s, s.skills[i], level) then branches = {branch_in(t, s, key) or ''} end
    for j = 1, #branches do
      out[#out + 1] = name..'.'..level..(branches[j] ~= '' and '\t'..branches[j] or '')
    end
  end
end
return out
