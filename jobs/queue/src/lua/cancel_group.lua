-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, tenant, group -> members that had not ended; -1 = no such group
local now, t, group = clock(ARGV[1]), ARGV[2], ARGV[3]
if call('EXISTS', kt..t..':g:'..group) == 0 then return -1 end
local S = rows({t})
local members = group_cancel(t, S[t], group, now)
settle({t}, S, now)
flush_counts()
return members
