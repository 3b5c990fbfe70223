-- Views for reports. Their names, columns and types stay as they are, whatever becomes of the tables.
-- Times are written as RFC 3339 in UTC with six digits, values and sums as decimals in text: SQLite's sum() would turn them
-- into floats.

-- The processed records.
CREATE VIEW tallyhouse_records AS
SELECT
    record_id,
    -- The remainder of a time before 1970 is negative: the seconds are rounded down.
    strftime('%Y-%m-%dT%H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', (time % 1000000 + 1000000) % 1000000) AS time,
    source_id,
    destination_id,
    type,
    value,
    unit,
    reference,
    sequence,
    strftime('%Y-%m-%dT%H:%M:%S', processed_at / 1000000, 'unixepoch')
        || printf('.%06dZ', processed_at % 1000000) AS processed_at
FROM records;

-- The exact totals of each destination, reference and unit.
CREATE VIEW tallyhouse_totals AS
SELECT
    destination_id,
    reference,
    json_extract(total.value, '$[0]') AS unit,
    json_extract(total.value, '$[1]') AS positive_count,
    json_extract(total.value, '$[2]') AS positive_sum,
    json_extract(total.value, '$[3]') AS negative_count,
    json_extract(total.value, '$[4]') AS negative_sum
FROM summaries, json_each(summary, '$[3]') AS total;
