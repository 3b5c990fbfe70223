-- Renews the lease of the consumer ARGV[1] for ARGV[2] ms. The score of a consumer (KEYS[1]) is the time at which its
-- lease ends or, as a negative number, the time at which its elements were requeued.
-- Returns 1, the length of the consumer's list (KEYS[2]) and the consumers whose lease has expired; 0 for a consumer
-- that is not registered or has expired. KEYS[3]: the wake key; KEYS[4]: the records.
redis.call('PERSIST', KEYS[1])
keep_wake_key(KEYS[3], KEYS[4])
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < 0 then
    return {0, 0, {}}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
-- After the clock went back, e.g. by a failover, a lease seems to end later than any lease can.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now + 2 * ARGV[2]), '+inf')) do
    table.insert(expired, name)
end
return {1, redis.call('LLEN', KEYS[2]), expired}
