-- flag no-writes. ARGV now, most, then of each job: tenant, id, id of the continuation of the group that it opens, group
-- -> for each {where}, as in 05_lost.lua: of the job itself, or, when it has ended or is gone, of what it left: 't' as
--    long as its group or the continuation goes on; {'l' | 'b', id} of what may be mended; {'m', id*} members of the
--    group that are lost, none of them if nothing but the group is left; {'?'} = not looked at: `most` members were
local S, left, out = {}, tonumber(ARGV[2]), {}
listed = {}

local function members_of(t, s, group)
  local fields, lost, n = call('HGETALL', kt..t..':g:'..group), {'m'}, 0
  for i = 1, #fields, 2 do
    if #fields[i] > 1 then -- c f p are no members
      n = n + 1
      if whereabouts(t, s, fields[i]) ~= 't' then lost[#lost + 1] = fields[i] end
    end
  end
  left = left - n
  if #fields == 0 then return nil end
  return (n == 0 or #lost > 1) and lost or {'t'}
end

local function look(t, id, continuation, group)
  if not S[t] then S[t] = dec(t, call('HGET', kT, t)) end
  local s = S[t]
  local own_place = whereabouts(t, s, id)
  if own_place == 'l' or own_place == 'b' then return {own_place, id} end
  if own_place ~= 'g' and own_place ~= 'e' then return {own_place} end
  local place = whereabouts(t, s, continuation)
  if place == 'l' or place == 'b' then return {place, continuation} end
  if place == 't' or place == 'k' then return {place} end
  return members_of(t, s, group) or {own_place}
end

for i = 3, #ARGV, 4 do
  if left <= 0 then out[#out + 1] = {'?'}
  else
    local ok, answer = lpcall(look, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    out[#out + 1] = ok and answer or {'t'} -- its keys are damaged: `heal` mends them first
  end
end
return out
