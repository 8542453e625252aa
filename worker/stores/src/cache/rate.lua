-- Takes some of what a sliding window may hold, or, for ARGV[4] = 0, only looks.
-- KEYS[1]: a hash, each second with what was taken in it. ARGV: limit, window in seconds, the present second, how many.
-- Returns whether they were taken, how many are in the window, and in how many seconds the oldest leave it.
local limit, window, now, more = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local seconds = redis.call('HGETALL', KEYS[1])
local used, oldest, gone = 0, now, {}
for at = 1, #seconds, 2 do
    local second = tonumber(seconds[at])
    if second <= now - window then
        gone[#gone + 1] = seconds[at]
    else
        used = used + tonumber(seconds[at + 1])
        oldest = math.min(oldest, second)
    end
end
local frees = oldest + window - now
if used + more > limit then
    return {0, used, frees}
end
if more > 0 then
    -- At most one for each second of a window: the key itself ends when nothing is taken for a whole one.
    if #gone > 0 then
        redis.call('HDEL', KEYS[1], unpack(gone))
    end
    redis.call('HINCRBY', KEYS[1], ARGV[3], more)
    redis.call('EXPIRE', KEYS[1], window)
end
return {1, used + more, frees}
