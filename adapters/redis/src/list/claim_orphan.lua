-- Makes those of the consumers ARGV[2], ARGV[3] … known (in KEYS[1]) that are not, as if they had just begun a lease of
-- ARGV[1] ms: whoever of them is alive renews it. Returns how many they were.
redis.call('PERSIST', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local adopted = 0
for i = 2, #ARGV do
    adopted = adopted + redis.call('ZADD', KEYS[1], 'NX', now + ARGV[1], ARGV[i])
end
return adopted
