-- flag no-writes. ARGV now, lane* -> 1 when a tenant that has nothing in flight may start in one of these lanes, and is
-- among the first
for i = 2, #ARGV do
  local lane = lane_number(ARGV[i])
  local first = lane and call('ZRANGE', kr..lane, 0, NEWCOMERS - 1) or {}
  for j = 1, #first do
    local ok, running = lpcall(in_flight, first[j])
    if ok and running == 0 then return 1 end
  end
end
return 0
