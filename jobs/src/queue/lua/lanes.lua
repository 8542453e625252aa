-- flag no-writes. ARGV now, live_ms -> {{lane, tenants ready in it, live workers}, ...}
local now, live, out = clock(ARGV[1]), tonumber(ARGV[2]), {}
for lane = 0, floor(call('HLEN', kL) / 3) - 1 do
  local name = call('HGET', kL, '#'..lane)
  if name then
    out[#out + 1] = {name, call('ZCARD', kr..lane), call('ZCOUNT', p..':W:'..name, int(now - live), '+inf')}
  end
end
return out
