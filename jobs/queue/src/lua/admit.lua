-- ARGV now in seconds, tenant, limit, window in seconds, how many, queue or ''
-- -> {1 | 0, how many are in the window, in how many seconds the oldest leave it, what `room` answers for the queue}
-- Takes some of what a tenant's sliding window may hold, all or nothing; 0 only looks.
local now, t, limit, length, more = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local k = kt..t..':r'
local seconds = call('HGETALL', k)
-- Each take removes what has left the window, so that there are never more fields than this, if all are ours.
if #seconds > 4 * length then call('UNLINK', k); seconds = {} end
local used, oldest, gone = 0, now, {}
for i = 1, #seconds, 2 do
  local second, taken = number(seconds[i]), number(seconds[i + 1])
  if second and taken and second > now - length then
    used, oldest = used + taken, min(oldest, second)
  else gone[#gone + 1] = seconds[i] end
end
local fits = used + more <= limit
if fits and more > 0 then
  if #gone > 0 then call('HDEL', k, unpack(gone)) end
  call('HINCRBY', k, ARGV[1], more)
  call('EXPIRE', k, length)
  used = used + more
end
local room = {}
if ARGV[6] ~= '' then room = room_of(t, dec(t, call('HGET', kT, t)), ARGV[6]) end
return {fits and 1 or 0, used, oldest + length - now, room}
