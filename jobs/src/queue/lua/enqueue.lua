-- ARGV now, then blocks: tenant, lane, level, due (0 = now), group ('' = none), count, (id, record)*count
-- -> how many were new
local now, n = clock(ARGV[1]), #ARGV
local names, S, i = {}, {}, 2
while i <= n do
  local t = ARGV[i]
  if not S[t] then S[t] = true; names[#names + 1] = t end
  i = i + 6 + 2 * ARGV[i + 5]
end
S = rows(names)
local accepted = 0
i = 2
while i <= n do
  local t, c = ARGV[i], tonumber(ARGV[i + 5])
  accepted = accepted + enqueue_block(now, t, S[t], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]),
    ARGV[i + 4], i + 6, c)
  i = i + 6 + 2 * c
end
settle(names, S, now)
return accepted
