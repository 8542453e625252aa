-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, tenant, id* -> a letter for each, as `cancel` in 02_groups.lua has them
local now, t, ids = clock(ARGV[1]), ARGV[2], {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
local S = rows({t})
local out = cancel(t, S[t], ids, now)
settle({t}, S, now)
flush_counts()
return table.concat(out)
