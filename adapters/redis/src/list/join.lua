-- Makes ARGV[1] one of the consumers (KEYS[1]) for ARGV[2] ms. The consumer ARGV[3], its former name if there is one,
-- is noted as silent, whether or not it is known, so that what lies in its list is found.
redis.call('PERSIST', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if ARGV[3] ~= '' then
    redis.call('ZADD', KEYS[1], -now, ARGV[3])
end
return 1
