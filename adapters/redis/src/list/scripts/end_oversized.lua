-- Removes an oversized element from the consumer's list (KEYS[1]): the one that has ARGV[1] bytes and the
-- digest ARGV[2]. ARGV[3] says what else happens to it: `ack` nothing, `nack` requeues it to the records (KEYS[2]),
-- `dead-letter` writes a dead letter (KEYS[2]) of payload, reason, detail, origin, at (ARGV from the fourth).
-- Returns 1, or 0 if there is no such element.
redis.call('PERSIST', KEYS[1])
for i = 1, redis.call('LLEN', KEYS[1]) do
    local payload = redis.call('LRANGE', KEYS[1], -i, -i)[1]
    if #payload == tonumber(ARGV[1]) and digest(payload) == ARGV[2] then
        if ARGV[3] == 'nack' then
            redis.call('RPUSH', KEYS[2], payload)
        elseif ARGV[3] == 'dead-letter' then
            redis.call('XADD', KEYS[2], '*', 'payload', ARGV[4], 'reason', ARGV[5], 'detail', ARGV[6],
                'origin', ARGV[7], 'at', ARGV[8])
        end
        redis.call('LREM', KEYS[1], -1, payload)
        return 1
    end
end
return 0
