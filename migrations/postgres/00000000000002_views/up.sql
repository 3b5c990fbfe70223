-- Views for reports. Their names, columns and types stay as they are, whatever becomes of the tables.

-- The processed records.
CREATE VIEW tallyhouse_records AS
SELECT
    record_id,
    time,
    source_id,
    destination_id,
    CASE WHEN positive THEN 'positive' ELSE 'negative' END AS type,
    value,
    unit,
    reference,
    sequence,
    processed_at
FROM records;

-- The exact totals of each destination, reference and unit.
CREATE VIEW tallyhouse_totals AS
SELECT
    destination_id,
    reference,
    total ->> 0 AS unit,
    (total ->> 1)::bigint AS positive_count,
    (total ->> 2)::numeric AS positive_sum,
    (total ->> 3)::bigint AS negative_count,
    (total ->> 4)::numeric AS negative_sum
FROM summaries, jsonb_array_elements(summary::jsonb -> 3) AS totals (total);
