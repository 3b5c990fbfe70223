-- Acknowledges and deletes entries (ARGV from the second) of the stream (KEYS[1]) for the group ARGV[1].
for first = 2, #ARGV, 1000 do
    local last = math.min(first + 999, #ARGV)
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, first, last))
    redis.call('XDEL', KEYS[1], unpack(ARGV, first, last))
end
return #ARGV - 1
