-- Returns all elements of the consumer's list (KEYS[1]), newest first. ARGV[1]: payload_max.
local elements = {}
for i = 0, redis.call('LLEN', KEYS[1]) - 1 do
    elements[i + 1] = element(redis.call('LRANGE', KEYS[1], i, i)[1], tonumber(ARGV[1]))
end
return elements
