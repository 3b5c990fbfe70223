-- Registers those of the consumers ARGV[2], ARGV[3] … that are not registered (in KEYS[1]), with a lease of ARGV[1] ms:
-- a live consumer renews it. Returns how many were registered.
redis.call('PERSIST', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local registered = 0
for i = 2, #ARGV do
    registered = registered + redis.call('ZADD', KEYS[1], 'NX', now + ARGV[1], ARGV[i])
end
return registered
