-- flag no-writes. ARGV tenant, queue, jobs, bytes, scheduled -> {} | {tenant, limit, current, maximum,
-- retry_after_ms}: whether a tenant may add that much now
local t = ARGV[1]
local s = dec(t, call('HGET', kT, t))
local why = draining(t, s, ARGV[2])
if not why and has(s, F.quotas) then
  why = over_quota(t, s, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
end
if not why then return {} end
return {t, unpack(why)}
