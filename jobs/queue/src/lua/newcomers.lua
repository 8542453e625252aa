-- flag no-writes. ARGV now, skill* -> 1 when a tenant that has nothing in flight may start something for which one of
-- these skills is needed, and is among the first
for i = 2, #ARGV do
  local skill = skill_number(ARGV[i])
  local first = skill and call('ZRANGE', kr..skill, 0, NEWCOMERS - 1) or {}
  for j = 1, #first do
    local ok, running = lpcall(in_flight, first[j])
    if ok and running == 0 then return 1 end
  end
end
return 0
