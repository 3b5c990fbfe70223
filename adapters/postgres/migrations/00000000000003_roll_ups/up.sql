-- Totals kept ready, so that a question for totals need not read every record: for each day (in UTC), each 32 days and all
-- of time, per destination, unit and type. They hold the records up to roll_up_position, and those behind it are read as
-- they are. So commits have no part in this, and a question gets exact totals however far the folding has come.
CREATE TABLE roll_ups (
    first timestamptz NOT NULL,
    last timestamptz NOT NULL,
    count bigint NOT NULL,
    -- The day on which the stretch begins: '-infinity' for all of time.
    starts date NOT NULL,
    -- How long the stretch is: 1 or 32; 0 for all of time.
    days smallint NOT NULL,
    positive boolean NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    sum numeric NOT NULL,
    CONSTRAINT roll_ups_pkey PRIMARY KEY (days, starts, destination_id, unit, positive)
) WITH (fillfactor = 50);
CREATE INDEX roll_ups_by_destination ON roll_ups (destination_id, days, starts);

-- One row. Whoever folds locks it first.
CREATE TABLE roll_up_position (
    only_row boolean DEFAULT true NOT NULL CHECK (only_row),
    position bigint NOT NULL,
    CONSTRAINT roll_up_position_pkey PRIMARY KEY (only_row)
);
INSERT INTO roll_up_position (position) VALUES (0);

-- Folds the next batches, of about records_max records together, or one larger batch; returns how many records they
-- hold: 0 where none are left, or where somebody else is at it.
-- Each statement has a snapshot of its own; which batches are folded is said by their positions, which never change.
CREATE FUNCTION fold(records_max bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
-- A table that is small today is found by its index, too, as it will be when it has grown.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    done bigint;
    until bigint;
    -- No day is before it.
    origin CONSTANT date := '0001-01-01';
BEGIN
    SELECT p.position INTO done FROM roll_up_position p WHERE p.only_row FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT coalesce(
        (SELECT b.last FROM batches b WHERE b.last > done AND b.last <= done + records_max ORDER BY b.last DESC LIMIT 1),
        (SELECT b.last FROM batches b WHERE b.last > done ORDER BY b.last LIMIT 1)
    ) INTO until;
    IF until IS NULL THEN
        RETURN 0;
    END IF;

    WITH by_day AS MATERIALIZED (
        SELECT (r.time AT TIME ZONE 'UTC')::date AS day, r.destination_id, r.unit, r.positive, count(*) AS count,
            sum(r.value) AS sum, min(r.time) AS first, max(r.time) AS last
        FROM batches b
        -- OFFSET 0 keeps the two apart, so that the records are always found by their slots.
        CROSS JOIN LATERAL (
            SELECT r.* FROM records r WHERE r.slot >= b.slot AND r.slot <= b.slot + (b.last - b.first) OFFSET 0
        ) r
        WHERE b.last > done AND b.last <= until
        GROUP BY 1, 2, 3, 4
    ), by_stretch AS (
        SELECT 1 AS days, d.day AS starts, d.destination_id, d.unit, d.positive, d.count, d.sum, d.first, d.last
        FROM by_day d
        UNION ALL
        SELECT 32, d.day - (d.day - origin) % 32, d.destination_id, d.unit, d.positive, sum(d.count)::bigint,
            sum(d.sum), min(d.first), max(d.last)
        FROM by_day d GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT 0, date '-infinity', d.destination_id, d.unit, d.positive, sum(d.count)::bigint, sum(d.sum), min(d.first),
            max(d.last)
        FROM by_day d GROUP BY 1, 2, 3, 4, 5
    )
    INSERT INTO roll_ups AS u (days, starts, destination_id, unit, positive, count, sum, first, last)
    SELECT s.days, s.starts, s.destination_id, s.unit, s.positive, s.count, s.sum, s.first, s.last FROM by_stretch s
    ON CONFLICT (days, starts, destination_id, unit, positive) DO UPDATE SET
        count = u.count + excluded.count,
        sum = u.sum + excluded.sum,
        first = least(u.first, excluded.first),
        last = greatest(u.last, excluded.last);

    UPDATE roll_up_position p SET position = until WHERE p.only_row;
    RETURN until - done;
END
$$;
