-- Requeues elements (ARGV, newest first) from the consumer's list (KEYS[1]) to the right end of the records (KEYS[2]),
-- if they are still there.
redis.call('PERSIST', KEYS[1])
local moved = 0
for _, payload in ipairs(ARGV) do
    if redis.call('LREM', KEYS[1], 1, payload) == 1 then
        redis.call('RPUSH', KEYS[2], payload)
        moved = moved + 1
    end
end
return moved
