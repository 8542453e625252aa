-- ARGV now, tenant, id -> 1 | 0: a dead letter or a quarantined job starts again with all its attempts
local now, t, id = clock(ARGV[1]), ARGV[2], ARGV[3]
local k = kt..t..':'
if not (call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)) then return 0 end
local r = parse(call('HGET', ke, id))
if not r then return 0 end
call('ZREM', k..'x', id)
call('ZREM', k..'q', id)
call('HDEL', k..'z', id)
r.attempts, r.deaths, r.parks, r.note = 0, 0, 0, ''
store(id, r)
local S = rows({t})
to_list(t, S[t], r.lane, r.level, id)
settle({t}, S, now)
return 1
