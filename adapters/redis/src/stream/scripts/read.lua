-- Reads up to ARGV[4] entries, or up to about ARGV[5] bytes, of the stream (KEYS[1]) as the consumer ARGV[2] of the group
-- ARGV[1]: its own pending entries after the id ARGV[3] and then, if ARGV[6] is 1, new ones. ARGV[7]: record_max;
-- ARGV[8]: entry_max. Returns the id of the last entry that was read if there may be more pending ones, else an empty
-- text; and the entries.
local wanted, bytes_max = tonumber(ARGV[4]), tonumber(ARGV[5])
local record_max, entry_max = tonumber(ARGV[7]), tonumber(ARGV[8])
local after, entries, bytes, chunk = ARGV[3], {}, 0, 1
while #entries < wanted and bytes < bytes_max do
    -- A few at a time, and one after an oversized one: the server holds copies of a chunk in memory.
    local asked = math.min(chunk, wanted - #entries)
    local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', asked, 'STREAMS', KEYS[1], after)
    local read = reply and reply[1][2] or {}
    chunk = math.min(chunk * 2, 16)
    for _, entry in ipairs(read) do
        local kept, size = cut(entry, record_max, entry_max)
        entries[#entries + 1] = kept
        bytes = bytes + size
        if kept and kept[3] then
            chunk = 1
        end
    end
    if #read == asked then
        if after ~= '>' then
            after = read[#read][1]
        end
    elseif after == '>' or ARGV[6] ~= '1' then
        return {'', entries}
    else
        after = '>'
    end
end
return {after == '>' and '' or after, entries}
