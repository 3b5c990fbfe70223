-- Writes elements of the consumer's list (KEYS[1]) to the dead letters (KEYS[2]) and removes them, if they are still
-- there: an element that was requeued meanwhile is handled by the consumer that takes it next.
-- ARGV: payload, reason, detail, origin, at; repeated.
redis.call('PERSIST', KEYS[1])
for i = 1, #ARGV, 5 do
    if redis.call('LPOS', KEYS[1], ARGV[i], 'RANK', -1) then
        redis.call('XADD', KEYS[2], '*', 'payload', ARGV[i], 'reason', ARGV[i + 1], 'detail', ARGV[i + 2],
            'origin', ARGV[i + 3], 'at', ARGV[i + 4])
        redis.call('LREM', KEYS[1], -1, ARGV[i])
    end
end
return #ARGV / 5
