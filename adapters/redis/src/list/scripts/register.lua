-- Registers ARGV[1] as a consumer (KEYS[1]) with a lease of ARGV[2] ms. ARGV[3] is its previous name, or empty: it is
-- registered as expired, whether or not the server still knows it, so that elements in its list are requeued.
-- KEYS[2]: the wake key; KEYS[3]: the records.
redis.call('PERSIST', KEYS[1])
keep_wake_key(KEYS[2], KEYS[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if ARGV[3] ~= '' then
    redis.call('ZADD', KEYS[1], -now, ARGV[3])
end
return 1
