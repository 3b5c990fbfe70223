-- Moves up to ARGV[2] elements, or up to about ARGV[3] bytes, from the records (KEYS[1]) into the consumer's list
-- (KEYS[2]), if the consumer ARGV[1] is registered (in KEYS[3]). KEYS[4]: the wake key; ARGV[4]: payload_max.
-- Returns the length of the consumer's list and the moved elements, oldest first; -1 for an unregistered consumer.
redis.call('PERSIST', KEYS[1])
keep_wake_key(KEYS[4], KEYS[1])
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
    return {-1, {}}
end
local wanted, budget, payload_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local moved, chunk = {}, 1
while #moved < wanted and budget > 0 do
    -- A few at a time, and one after an oversized one: the server holds copies of a chunk in memory.
    local taken = redis.call('RPOP', KEYS[1], math.min(chunk, wanted - #moved))
    if not taken or #taken == 0 then
        break
    end
    chunk = math.min(chunk * 2, 16)
    redis.call('LPUSH', KEYS[2], unpack(taken))
    for _, payload in ipairs(taken) do
        moved[#moved + 1] = element(payload, payload_max)
        budget = budget - math.min(#payload, payload_max)
        if #payload > payload_max then
            chunk = 1
        end
    end
end
return {redis.call('LLEN', KEYS[2]), moved}
