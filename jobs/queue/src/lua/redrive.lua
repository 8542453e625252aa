-- ARGV now, tenant, id* -> a letter for each: o = starts again with all its attempts, u = another job has its
-- unique key, n = neither a dead letter nor in quarantine
local now, t = clock(ARGV[1]), ARGV[2]
local k, S, out = kt..t..':', rows({t}), {}
local s = S[t]
local function redrive(id)
  if not (call('ZSCORE', k..'x', id) or call('ZSCORE', k..'q', id)) then return 'n' end
  local r = parse(own(t, call('HGET', ke, id)))
  if not r then return 'n' end
  local scope, key = smatch(call('HGET', k..'U', id) or '', '^(.)(.*)$')
  if scope and scope ~= 'p' and lock(t, s, now, id, scope, key, 0) then return 'u' end
  call('ZREM', k..'x', id)
  call('ZREM', k..'q', id)
  call('HDEL', k..'z', id)
  r.attempts, r.deaths, r.parks, r.note, r.epoch = 0, 0, 0, '', s.ep
  r.redriven = true
  weigh(s, r.size)
  store(s, id, r)
  to_list(t, s, r, id)
  return 'o'
end
for i = 3, #ARGV do out[#out + 1] = redrive(ARGV[i]) end
settle({t}, S, now)
return table.concat(out)
