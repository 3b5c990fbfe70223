-- Returns up to ARGV[3] entries of the dead letters (KEYS[1]) from the id ARGV[1] to the id ARGV[2], oldest first. It
-- ends early at about ARGV[4] bytes, but never before the first entry.
local wanted, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local start, entries, bytes, chunk = ARGV[1], {}, 0, 1
while #entries < wanted and bytes < bytes_max do
    -- A few at a time: the server holds copies of a chunk in memory.
    local asked = math.min(chunk, wanted - #entries)
    local read = redis.call('XRANGE', KEYS[1], start, ARGV[2], 'COUNT', asked)
    for _, entry in ipairs(read) do
        entries[#entries + 1] = entry
        for _, part in ipairs(entry[2]) do
            bytes = bytes + #part
        end
    end
    if #read < asked then
        break
    end
    start, chunk = '(' .. read[#read][1], math.min(chunk * 2, 16)
end
return entries
