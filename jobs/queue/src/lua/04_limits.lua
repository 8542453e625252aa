-- Whether a tenant may add jobs
-- ------------------------------------------------------------------------------------------------------------

-- Jobs that wait, for a worker or for their time.
local function waiting(t, s)
  local k, jobs = kt..t..':', 0
  for j = 1, #s.skills do
    local skill = s.skills[j]
    for level = 0, LEVELS do
      if has_jobs(s, skill, level) then jobs = jobs + length_of(t, s, skill, level) end
    end
  end
  if has(s, F.ghosts) then jobs = jobs - call('HLEN', k..'H') end
  return jobs + call('ZCARD', k..'s') + call('ZCARD', k..'y') + call('ZCARD', k..'k')
end

-- When there may be room again, as far as one can tell: 1 s to 1 min.
local function patience(t, s, jobs)
  return min(60000, max(1000, jobs * estimate(s) / 1000 / max(1, in_flight(t))))
end

-- nil, or which quota: name, current, maximum, when to try again
local function over_quota(t, s, jobs, bytes, scheduled)
  if jobs == 0 then return nil end
  local q = call('HMGET', kt..t..':S', 'qj', 'qb', 'qs')
  for i = 1, 3 do q[i] = number(q[i]) end
  local have = waiting(t, s)
  if q[1] and have + jobs > q[1] then
    return {'backlog_jobs', int(have), int(q[1]), int(patience(t, s, have))}
  end
  if q[2] and s.bytes + bytes > q[2] then
    return {'backlog_bytes', int(s.bytes), int(q[2]), int(patience(t, s, have))}
  end
  local later = q[3] and scheduled > 0 and call('ZCARD', kt..t..':s') or 0
  if q[3] and scheduled > 0 and later + scheduled > q[3] then
    return {'scheduled_jobs', int(later), int(q[3]), '60000'}
  end
end

-- nil, or what drains: the tenant, the queue, or the tenant's queue
local function draining(t, s, queue)
  if has(s, F.draining) then return {'tenant_draining', '0', '0', '60000'} end
  if not queue then return nil end
  if call('HGET', p..':P', queue) == 'draining' then return {'queue_draining', '0', '0', '60000'} end
  if has(s, F.queues) and call('HGET', kt..t..':S', 'p:'..queue) == 'draining' then
    return {'tenant_queue_draining', '0', '0', '60000'}
  end
end

-- What drains or '', then the present amount and the maximum, '' without one, of jobs, bytes and scheduled jobs, and when
-- there may be room again. `RoomLeft` compares, as `over_quota` does.
local function room_of(t, s, queue)
  local why = draining(t, s, queue)
  if why then return {why[1], '0', '', '0', '', '0', '', why[4]} end
  if not has(s, F.quotas) then return {'', '0', '', '0', '', '0', '', '0'} end
  local q, have = call('HMGET', kt..t..':S', 'qj', 'qb', 'qs'), waiting(t, s)
  for i = 1, 3 do local most = number(q[i]); q[i] = most and int(most) or '' end
  return {'', int(have), q[1], int(s.bytes), q[2], int(call('ZCARD', kt..t..':s')), q[3], int(patience(t, s, have))}
end
