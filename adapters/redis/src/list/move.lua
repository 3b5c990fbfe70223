-- Moves up to ARGV[2] elements, or up to about ARGV[3] bytes, from the records (KEYS[1]) into the consumer's list
-- (KEYS[2]), as long as the consumer ARGV[1] is among the consumers (KEYS[3]).
-- Returns the length of the consumer's list and the elements, oldest first; -1 for a consumer that is not known.
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
    return {-1, {}}
end
local wanted, budget, moved = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
while #moved < wanted and budget > 0 do
    -- Few at a time: one payload may be as large as the whole budget.
    local taken = redis.call('RPOP', KEYS[1], math.min(64, wanted - #moved))
    if not taken or #taken == 0 then
        break
    end
    redis.call('LPUSH', KEYS[2], unpack(taken))
    for _, payload in ipairs(taken) do
        moved[#moved + 1] = payload
        budget = budget - #payload
    end
end
return {redis.call('LLEN', KEYS[2]), moved}
