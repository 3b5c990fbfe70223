-- Claims entries of the stream (KEYS[1]) that were idle for ARGV[3] ms, after the id ARGV[4], for the consumer ARGV[2] of
-- the group ARGV[1]: looks at ARGV[5] of them, or stops at about ARGV[6] bytes. ARGV[7]: record_max; ARGV[8]: entry_max.
-- Returns the id from which the next claim goes on, `0-0` at the end, and the entries. A deleted entry is null before
-- Redis 7.
local wanted, bytes_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local record_max, entry_max = tonumber(ARGV[7]), tonumber(ARGV[8])
local after, entries, bytes, chunk, looked = ARGV[4], {}, 0, 1, 0
repeat
    -- A few at a time, and one after an oversized one: the server holds copies of a chunk in memory.
    local asked = math.min(chunk, wanted - looked)
    local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], after, 'COUNT', asked)
    after, looked, chunk = reply[1], looked + asked, math.min(chunk * 2, 16)
    for i = 1, #reply[2] do
        local kept, size = cut(reply[2][i], record_max, entry_max)
        entries[#entries + 1] = kept
        bytes = bytes + size
        if kept and kept[3] then
            chunk = 1
        end
    end
until after == '0-0' or looked >= wanted or bytes >= bytes_max
return {after, entries}
