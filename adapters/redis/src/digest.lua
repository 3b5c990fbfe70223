-- Returns the SHA-1 of a text, or of the first 16 MiB of a longer one: the server serves no other client meanwhile, and
-- an answer that comes too late is an error.
local function digest(text)
    return redis.sha1hex(string.sub(text, 1, 16 * 1024 * 1024))
end

