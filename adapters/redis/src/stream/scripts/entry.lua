-- Cuts an entry so that it is bounded in bytes. Returns it and its bytes, which are counted against a budget:
--   {id, fields}                   an entry of at most entry_max bytes whose only record is not oversized;
--   {id, fields, length, sha1}     an entry of which only a part is returned, with the length and digest of its only
--                                  record or, where it has none or several, of all its fields.
-- An entry that was deleted while it was pending has no fields.
local function cut(entry, record_max, entry_max)
    if not entry or not entry[2] then
        return entry, 0
    end
    local fields = entry[2]
    if #fields == 2 and fields[1] == 'record' and #fields[2] <= record_max then
        return entry, #fields[2]
    end
    local bytes, records, record, traceparent = 0, 0, nil, nil
    for i = 1, #fields, 2 do
        bytes = bytes + #fields[i] + #fields[i + 1]
        if fields[i] == 'record' then
            records, record = records + 1, fields[i + 1]
        elseif fields[i] == 'traceparent' and #fields[i + 1] <= 256 then
            traceparent = traceparent or fields[i + 1]
        end
    end
    if records == 1 then
        local kept = {'record', string.sub(record, 1, record_max + 1)}
        if traceparent then
            kept[3], kept[4] = 'traceparent', traceparent
        end
        if #record <= record_max then
            return {entry[1], kept}, #record
        end
        return {entry[1], kept, #record, digest(record)}, record_max
    end
    if bytes <= entry_max then
        return entry, bytes
    end
    local kept, left = {}, record_max
    for i, part in ipairs(fields) do
        if i % 2 == 1 and left <= 0 then
            break
        end
        kept[i] = string.sub(part, 1, math.max(left, 0))
        left = left - #part
    end
    return {entry[1], kept, bytes, digest(table.concat(fields))}, record_max
end

