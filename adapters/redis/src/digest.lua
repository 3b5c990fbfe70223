-- Returns the SHA-1 of a text, of a longer one of its first 16 MiB: the server serves nobody else meanwhile, and an answer
-- that comes too late is an error.
local function digest(text)
    return redis.sha1hex(string.sub(text, 1, 16 * 1024 * 1024))
end

