-- Returns an element as the adapter reads it: the payload or, if that is longer than payload_max bytes, its first
-- payload_max + 1 bytes, its length and its digest.
local function element(payload, payload_max)
    if #payload <= payload_max then
        return payload
    end
    return {string.sub(payload, 1, payload_max + 1), #payload, digest(payload)}
end

