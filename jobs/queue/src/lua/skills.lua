-- flag no-writes. ARGV now, live_ms -> {{skill, its queue, tenants ready in it, live workers}, ...}
local now, live, out = clock(ARGV[1]), tonumber(ARGV[2]), {}
for skill = 0, floor(call('HLEN', kL) / 3) - 1 do
  local name = call('HGET', kL, '#'..skill)
  if name then
    local workers = call('ZCOUNT', p..':W:'..name, int(now - live), '+inf')
    out[#out + 1] = {name, queue_of(skill), call('ZCARD', kr..skill), workers}
  end
end
return out
