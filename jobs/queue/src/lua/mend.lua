-- flag allow-oom. What was accepted before must come in.
-- ARGV now, tenant, group | '', id* -> how many jobs were put back into their lists. Of the others that are lost
-- nothing stays: no entry in quarantine that keeps their ids from being pushed again, no place in the group.
local now, t, group = clock(ARGV[1]), ARGV[2], ARGV[3]
local S, k, back = rows({t}), kt..t..':', 0
local s = S[t]
listed = {}
if call('EXISTS', k..'m') == 1 then raise(s, F.groups) end

local function lost(id)
  local place = whereabouts(t, s, id)
  if place == 't' then return end
  if place == 'l' then
    local r = parse(call('HGET', ke, id))
    -- A list whose turn was lost may have it, and get its turn back when the next job comes.
    call('LREM', kt..t..':'..r.skill..'.'..r.level..'/'..r.branch, 1, id)
    to_list(t, s, r, id)
    back = back + 1
    return
  end
  if place == 'b' then
    call('ZREM', k..'q', id)
    call('HDEL', k..'z', id)
    call('HDEL', k..'U', id)
    forget(t, id)
  end
  if group == '' then return end
  if call('HGET', k..'m', id) == group then group_leave(t, s, id, true, now)
  else call('HDEL', k..'g:'..group, id) end
end

for i = 4, #ARGV do guarded(t, lost, ARGV[i]) end
if group ~= '' and call('HEXISTS', k..'g:'..group, 'c') == 1 then guarded(t, group_close, t, s, group, now) end
settle({t}, S, now)
flush_counts()
return back
