-- Removes elements (ARGV) from the consumer's list (KEYS[1]), one element for each argument: several may be equal. The
-- oldest lie at the right end and are acknowledged first, so LREM finds each at once from there.
for _, payload in ipairs(ARGV) do
    redis.call('LREM', KEYS[1], -1, payload)
end
return #ARGV
