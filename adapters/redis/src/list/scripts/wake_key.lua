-- Consumers block on `BLMOVE records wake`. The wake key is a sorted set, to which no element can be moved: a push makes
-- the command fail with WRONGTYPE, which wakes the consumer without sending it the element.
-- If the server has lost the key, `BLMOVE` has made a list of it: this puts those elements back and makes the key again.
local function keep_wake_key(wake, records)
    local kept = redis.pcall('ZADD', wake, 0, 'wake')
    if type(kept) == 'table' and kept.err then
        local payload = redis.call('LPOP', wake)
        while payload do
            redis.call('RPUSH', records, payload)
            payload = redis.call('LPOP', wake)
        end
        redis.call('ZADD', wake, 0, 'wake')
    end
end

