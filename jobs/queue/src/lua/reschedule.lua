-- ARGV now, tenant, due, id -> a letter: o = waits until then, or for a worker if that is past, w = waits for no time,
-- runs or is kept, n = not there
local now, t, due, id = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local S = rows({t})
local r = parse(own(t, call('HGET', ke, id)))
if not r or r.epoch ~= S[t].ep then return 'n' end
return reschedule(now, t, S[t], id, due) and 'o' or 'w'
