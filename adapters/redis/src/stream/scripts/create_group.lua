-- Creates the group ARGV[1] of the stream (KEYS[1]), and the stream, if they are missing. The group begins at the start
-- of the stream: acknowledged entries are deleted, so every entry that is there is still to be processed.
redis.call('PERSIST', KEYS[1])
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
    return made
end
return 1
