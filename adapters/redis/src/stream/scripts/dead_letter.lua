-- Writes entries of the stream (KEYS[1]) to the dead letters (KEYS[2]) and removes them, if they are still pending in
-- the group ARGV[1]: any other was acknowledged before, or will be read again.
-- ARGV from the second: id, payload, reason, detail, origin, at; repeated.
redis.call('PERSIST', KEYS[1])
for i = 2, #ARGV, 6 do
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
    if not pending.err and #pending > 0 then
        redis.call('XADD', KEYS[2], '*', 'payload', ARGV[i + 1], 'reason', ARGV[i + 2], 'detail', ARGV[i + 3],
            'origin', ARGV[i + 4], 'at', ARGV[i + 5])
        redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
        redis.call('XDEL', KEYS[1], ARGV[i])
    end
end
return (#ARGV - 1) / 6
