-- Deletes consumers of the group ARGV[1] that have nothing pending and were idle for ARGV[2] ms. A consumer that was
-- merely idle is created again by its next read.
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then
    return 0
end
local deleted = 0
for _, flat in ipairs(consumers) do
    local consumer = {}
    for i = 1, #flat, 2 do
        consumer[flat[i]] = flat[i + 1]
    end
    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
        deleted = deleted + 1
    end
end
return deleted
