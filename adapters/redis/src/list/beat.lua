-- Keeps the consumer ARGV[1] alive for ARGV[2] ms more. The consumers (KEYS[1]) have as their score when their lease
-- ends, or, with a minus sign, when their elements were taken over.
-- Returns 1, the length of the consumer's list (KEYS[2]) and the consumers whose lease has ended; 0 for a consumer that
-- is not known any more or was taken over.
redis.call('PERSIST', KEYS[1])
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < 0 then
    return {0, 0, {}}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return {1, redis.call('LLEN', KEYS[2]), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)}
