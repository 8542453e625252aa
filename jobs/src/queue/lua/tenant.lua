-- ARGV now, tenant, (field, value)* of w cap emit burst paused: plan change, pause, resume; a hold ends
local now, t = clock(ARGV[1]), ARGV[2]
local S = rows({t})
local s = S[t]
for i = 3, #ARGV, 2 do s[ARGV[i]] = tonumber(ARGV[i + 1]) end
s.hold, s.dirty = 0, true
settle({t}, S, now)
return s.st
