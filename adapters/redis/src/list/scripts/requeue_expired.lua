-- Requeues the elements (KEYS[2]) of the expired consumer ARGV[1] to the right end of the records (KEYS[3]), the oldest
-- last, so that it is taken first. The consumer stays registered (KEYS[1]) for ARGV[2] ms more, because a move of its
-- own may still be under way. Returns how many elements there were. ARGV[3]: the length of a lease in ms. A lease that
-- ends more than twice that from now was given before the clock went back, and has expired.
redis.call('PERSIST', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or now + 1)
if score > now and score <= now + 2 * ARGV[3] then
    return 0
end
local moved = 0
while true do
    -- A few at a time: an element may be large.
    local taken = redis.call('LPOP', KEYS[2], 16)
    if not taken or #taken == 0 then
        break
    end
    redis.call('RPUSH', KEYS[3], unpack(taken))
    moved = moved + #taken
end
if score >= 0 or moved > 0 then
    redis.call('ZADD', KEYS[1], -now, ARGV[1])
elseif -score < now - ARGV[2] then
    redis.call('ZREM', KEYS[1], ARGV[1])
end
return moved
