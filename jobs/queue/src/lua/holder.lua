-- flag no-writes. ARGV now, tenant, unique key -> the id of the job that has the key, or ''
local now, t, key = clock(ARGV[1]), ARGV[2], ARGV[3]
return holder_of(t, dec(t, call('HGET', kT, t)), now, key) or ''
