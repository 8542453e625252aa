-- flag allow-oom. A full Redis must be able to drain.
-- ARGV now, max_claims, max_deaths -> {claims reaped, jobs given back, {tenant, id, ...} quarantined} The
-- first death puts a job back at once. Later ones put the jobs of a claim back apart from each other, so that
-- the one that kills workers does not take its neighbours along to quarantine.
local now, maxd = clock(ARGV[1]), tonumber(ARGV[3])
local claims = call('ZRANGEBYSCORE', p..':l', '-inf', int(now), 'LIMIT', 0, tonumber(ARGV[2]))
local S, names, back, apart, quarantined = {}, {}, 0, 0, {}
local function report(t, id)
  quarantined[#quarantined + 1] = t
  quarantined[#quarantined + 1] = id
end
local function died(t, s, id)
  local wanted = free(t, s, {id})
  s.dirty = true
  local r = parse(own(t, call('HGET', ke, id)))
  if not r then
    put_aside(t, s, id, now)
    if is_id(id) then report(t, id) end
    return
  end
  if wanted or r.epoch ~= s.ep then called_off(t, s, id, now); return end
  r.deaths = r.deaths + 1
  if r.deaths >= maxd then
    store(s, id, r)
    keep(t, s, 'q', id, 'worker_died\n'..r.deaths..' workers vanished while they ran this job', now)
    group_leave(t, s, id, true, now)
    report(t, id)
    return
  end
  r.note = 'worker_died the worker that ran this job vanished'
  store(s, id, r)
  back = back + 1
  if r.deaths > 1 then
    apart = apart + 1
    to_timer(t, 'y', now + 1000 * apart, id)
  else to_list(t, s, r, id, true) end
end
local function take_back(t, ids, claim)
  local s = S[t]
  if not s then s = dec(t, call('HGET', kT, t)); S[t] = s; names[#names + 1] = t end
  for from = 1, #ids, 500 do
    local to = min(from + 499, #ids)
    local holder = call('HMGET', kt..t..':a', unpack(ids, from, to))
    for j = to - from + 1, 1, -1 do if holder[j] == claim then died(t, s, ids[from + j - 1]) end end
  end
end
for _, claim in ipairs(claims) do
  -- What is not written down any more has no lease from now on: `heal` finds it.
  local parts = claimed_by(claim)
  for i = 1, #parts, 2 do guarded(parts[i], take_back, parts[i], parts[i + 1], claim) end
  call('UNLINK', p..':c:'..claim)
  call('ZREM', p..':l', claim)
  call('HDEL', p..':n', claim)
end
settle(names, S, now)
flush_counts()
return {#claims, back, quarantined}
