-- Texts sort by bytes everywhere (COLLATE "C"): so do the keys that are locked, and so does every answer.
-- There are no foreign keys: the transaction in lock_and_read and write_batch keeps the tables in step, and each key would
-- cost a look-up per record.

-- Fixed-width columns first, so that no row has holes between them.
CREATE TABLE records (
    time timestamptz NOT NULL,
    processed_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    -- The record's batch and its place in it: see batches.
    slot bigint NOT NULL,
    positive boolean NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    source_id text COLLATE "C" NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    -- Without precision and scale, so that every value is kept exactly and with the scale it came with.
    value numeric NOT NULL,
    -- The summary of the earlier records of its key, in short form; NULL for the first one.
    previous text COLLATE "C",
    -- The rules that were met, as they were; NULL if none was.
    alerts text COLLATE "C",
    traceparent text COLLATE "C",
    CONSTRAINT records_pkey PRIMARY KEY (record_id)
);
CREATE INDEX records_by_time ON records (time, record_id);
CREATE INDEX records_by_destination ON records (destination_id, time, record_id);
CREATE INDEX records_by_slot ON records (slot);
CREATE INDEX records_alerting ON records (slot) WHERE alerts IS NOT NULL;

-- The running summary of each key. NULL only within the transaction that creates the row, to lock the key.
-- Every batch writes its keys' rows anew, and a new row grows when its summary comes; room in the page for that keeps
-- the new versions out of the index (HOT).
CREATE TABLE summaries (
    destination_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    summary text COLLATE "C",
    CONSTRAINT summaries_pkey PRIMARY KEY (destination_id, reference)
) WITH (fillfactor = 30);

-- Each batch takes a block of 2^20 slots before it inserts its records, without waiting for any other; only when all
-- else is done does it learn its positions, and that in the order of commits. So a record's position is
-- first + (its slot - slot) of its batch, and no record is written twice.
CREATE SEQUENCE slots AS bigint INCREMENT BY 1048576 MINVALUE 0;
CREATE TABLE batches (
    last bigint NOT NULL,
    first bigint NOT NULL,
    slot bigint NOT NULL,
    alerting boolean NOT NULL,
    CONSTRAINT batches_pkey PRIMARY KEY (last)
);
CREATE INDEX batches_alerting ON batches (last) WHERE alerting;

-- Batches whose messages are owed, by their first position, and who owes them.
CREATE TABLE outbox (
    first bigint NOT NULL,
    last bigint NOT NULL,
    processed_at timestamptz NOT NULL,
    owner text COLLATE "C",
    CONSTRAINT outbox_pkey PRIMARY KEY (first)
);

-- How long each owner may be silent before its batches are taken over, by the clock of the database.
CREATE TABLE leases (
    owner text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (owner)
);

-- Locks the keys, given in sorted order, and returns what is stored: in the first row the summaries of the keys, in
-- their order, NULL for a new key; in the others the records of the ids, as far as they exist.
-- Each statement of a volatile function has a snapshot of its own: what is read here was committed before the lock
-- was had, also where the lock was waited for.
CREATE FUNCTION lock_and_read(key_destinations text[], key_references text[], ids text[])
RETURNS TABLE (
    summaries text[], record_id text, "time" timestamptz, source_id text, destination_id text, positive boolean,
    value text, unit text, reference text, sequence bigint, processed_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    -- An existing row is only locked: where WHERE is false, DO UPDATE locks and does not write.
    INSERT INTO summaries AS s (destination_id, reference)
    SELECT k.d, k.r FROM unnest(key_destinations, key_references) AS k (d, r)
    ON CONFLICT (destination_id, reference) DO UPDATE SET summary = s.summary WHERE false;

    RETURN QUERY
    SELECT array_agg(s.summary ORDER BY k.n), NULL::text, NULL::timestamptz, NULL::text, NULL::text, NULL::boolean,
        NULL::text, NULL::text, NULL::text, NULL::bigint, NULL::timestamptz
    FROM unnest(key_destinations, key_references) WITH ORDINALITY AS k (d, r, n)
    JOIN summaries s ON s.destination_id = k.d AND s.reference = k.r;

    RETURN QUERY
    SELECT NULL::text[], r.record_id, r.time, r.source_id, r.destination_id, r.positive, r.value::text, r.unit,
        r.reference, r.sequence, r.processed_at
    FROM records r WHERE r.record_id = ANY (ids);
END
$$;

-- The alert rules that are managed at run time. Each commit reads their version, and the rules where it has changed.
CREATE TABLE alert_rules (
    name text COLLATE "C" NOT NULL,
    -- As messages bear it: a JSON object.
    rule text COLLATE "C" NOT NULL,
    -- The version that its latest change has led to.
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT alert_rules_pkey PRIMARY KEY (name)
);

-- One row. Whoever changes a rule locks it first.
CREATE TABLE alert_rules_version (
    only_row boolean DEFAULT true NOT NULL CHECK (only_row),
    version bigint NOT NULL,
    CONSTRAINT alert_rules_version_pkey PRIMARY KEY (only_row)
);
INSERT INTO alert_rules_version (version) VALUES (0);

-- Totals kept ready, so that a question for totals need not read every record: for each day (in UTC), each 32 days and all
-- of time, per destination, unit and type. They hold the records up to roll_up_position, and those behind it are read as
-- they are. So commits have no part in this, and a question gets exact totals however far the folding has come.
CREATE TABLE roll_ups (
    first timestamptz NOT NULL,
    last timestamptz NOT NULL,
    count bigint NOT NULL,
    -- The day on which the period begins: '-infinity' for all of time.
    starts date NOT NULL,
    -- How long the period is: 1 or 32; 0 for all of time.
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
CREATE FUNCTION roll_up(records_max bigint) RETURNS bigint
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
    ), by_period AS (
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
    SELECT s.days, s.starts, s.destination_id, s.unit, s.positive, s.count, s.sum, s.first, s.last FROM by_period s
    ON CONFLICT (days, starts, destination_id, unit, positive) DO UPDATE SET
        count = u.count + excluded.count,
        sum = u.sum + excluded.sum,
        first = least(u.first, excluded.first),
        last = greatest(u.last, excluded.last);

    UPDATE roll_up_position p SET position = until WHERE p.only_row;
    RETURN until - done;
END
$$;

-- A commit in one statement: what is stored for its ids and keys is not asked first, but expected, and nothing is written
-- unless it is so. lock_and_read stays, for batches whose expectations were wrong; write_batch stays for instances of the
-- version before, as long as they run beside this one.

-- Returns what lock_and_read does, as it is now, and locks nothing.
CREATE FUNCTION read_known(key_destinations text[], key_references text[], ids text[])
RETURNS TABLE (
    summaries text[], record_id text, "time" timestamptz, source_id text, destination_id text, positive boolean,
    value text, unit text, reference text, sequence bigint, processed_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT array_agg(s.summary ORDER BY k.n), NULL::text, NULL::timestamptz, NULL::text, NULL::text, NULL::boolean,
        NULL::text, NULL::text, NULL::text, NULL::bigint, NULL::timestamptz
    FROM unnest(key_destinations, key_references) WITH ORDINALITY AS k (d, r, n)
    LEFT JOIN summaries s ON s.destination_id = k.d AND s.reference = k.r;

    RETURN QUERY
    SELECT NULL::text[], r.record_id, r.time, r.source_id, r.destination_id, r.positive, r.value::text, r.unit,
        r.reference, r.sequence, r.processed_at
    FROM records r WHERE r.record_id = ANY (ids);
END
$$;

-- Inserts records, given in the order of their ids. Returns the slot of the first one's batch; fails on records_pkey if one of
-- the ids is taken.
CREATE FUNCTION write_records(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_ones text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    new_slot CONSTANT bigint := nextval('slots');
BEGIN
    -- Without ON CONFLICT, which looks every id up once more: that would be a seventh of the whole transaction.
    INSERT INTO records (
        time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, reference, unit, value,
        previous, alerts, traceparent
    )
    SELECT n.time, at, n.sequence, new_slot + n.place, n.positive, n.record_id, n.source_id, n.destination_id,
        n.reference, n.unit, n.value::numeric, n.previous, n.alerts, n.traceparent
    FROM unnest(
        record_ids, times, source_ids, destination_ids, positives, decimals, units, refs, sequences, previous_ones,
        alert_lists, traceparents, places
    ) AS n (
        record_id, time, source_id, destination_id, positive, value, unit, reference, sequence, previous,
        alerts, traceparent, place
    );
    RETURN new_slot;
END
$$;

-- Writes the new summaries of keys, given in sorted order, as far as each has the summary that was expected (NULL: none);
-- says whether all of them had. New keys come first: beside a commit that locks both a new key and one before it, that may be a
-- deadlock, which the server ends and both do again.
CREATE FUNCTION write_summaries(
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[]
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    created bigint;
    changed bigint;
BEGIN
    -- A row may be there already, of this very transaction, by lock_and_read.
    INSERT INTO summaries AS s (destination_id, reference, summary)
    SELECT n.d, n.r, n.summary
    FROM unnest(key_destinations, key_references, key_expected, key_summaries) AS n (d, r, expected, summary)
    WHERE n.expected IS NULL
    ON CONFLICT (destination_id, reference) DO UPDATE SET summary = excluded.summary WHERE s.summary IS NULL;
    GET DIAGNOSTICS created = ROW_COUNT;
    UPDATE summaries s SET summary = n.summary
    FROM unnest(key_destinations, key_references, key_expected, key_summaries) AS n (d, r, expected, summary)
    WHERE s.destination_id = n.d AND s.reference = n.r AND s.summary = n.expected;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN created + changed = cardinality(key_destinations);
END
$$;

-- Ends a commit: removes the keys whose row was created for nothing, and the owed batches that are settled; gives the records
-- of a batch their positions, and notes that their messages are owed. Returns the first position, 0 without records.
CREATE FUNCTION finish_commit(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    void_destinations text[], void_references text[], published bigint[], new_owner text
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    new_first bigint;
BEGIN
    IF cardinality(void_destinations) > 0 THEN
        DELETE FROM summaries s USING unnest(void_destinations, void_references) AS n (d, r)
        WHERE s.destination_id = n.d AND s.reference = n.r AND s.summary IS NULL;
    END IF;

    IF cardinality(published) > 0 THEN
        DELETE FROM outbox o WHERE o.first = ANY (published) AND o.owner = new_owner;
    END IF;

    IF total = 0 THEN
        RETURN 0;
    END IF;

    -- Positions are dense and become visible in order, because from here to the end of the commit there is only one.
    -- A lock and the last row, not a row with a counter: under a long snapshot the versions of a counter pile up, and
    -- each batch would walk through all of them.
    PERFORM pg_advisory_xact_lock('batches'::regclass::oid::int, 0);
    SELECT coalesce(max(b.last), 0) + 1 INTO new_first FROM batches b;
    INSERT INTO batches (last, first, slot, alerting) VALUES (new_first + total - 1, new_first, new_slot, alerting);
    INSERT INTO outbox (first, last, processed_at, owner) VALUES (new_first, new_first + total - 1, at, new_owner);
    RETURN new_first;
END
$$;

-- Writes a plan as a whole. Returns the first position of the records, 0 if there are none; or, with nothing written,
--   -1 if one of the ids is taken,
--   -2 if a key does not have the summary that was expected,
--   -3 if the managed rules have another version than was expected (NULL: any).
-- Each statement of a volatile function has a snapshot of its own: what another commit has written that was waited for, for
-- a key or an id, is seen.
CREATE FUNCTION write_optimistic(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_ones text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    void_destinations text[], void_references text[],
    published bigint[], new_owner text, rules_version bigint
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    total CONSTANT bigint := cardinality(record_ids);
    new_slot bigint;
    violated text;
BEGIN
    IF rules_version <> (SELECT v.version FROM alert_rules_version v WHERE v.only_row) THEN
        RETURN -3;
    END IF;
    IF total > 0 THEN
        IF NOT write_summaries(key_destinations, key_references, key_expected, key_summaries) THEN
            RAISE EXCEPTION USING ERRCODE = 'TH001';
        END IF;
        new_slot := write_records(
            record_ids, times, source_ids, destination_ids, positives, decimals, units, refs, sequences, previous_ones,
            alert_lists, traceparents, places, at
        );
    END IF;
    RETURN finish_commit(
        new_slot, total, array_remove(alert_lists, NULL) <> '{}', at, void_destinations, void_references, published,
        new_owner
    );
EXCEPTION
    -- All that the block has written is undone, and the log of the server has no line of it.
    WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        IF violated = 'records_pkey' THEN
            RETURN -1;
        END IF;
        RAISE;
    WHEN SQLSTATE 'TH001' THEN
        RETURN -2;
END
$$;

-- The rest of a plan whose records are written already, in the same transaction: that of a batch which follows another one
-- that was still under way then. Returns what write_optimistic does; where it is negative, the transaction is to be rolled back.
CREATE FUNCTION write_pipelined(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    published bigint[], new_owner text, rules_version bigint
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    IF rules_version <> (SELECT v.version FROM alert_rules_version v WHERE v.only_row) THEN
        RETURN -3;
    END IF;
    IF NOT write_summaries(key_destinations, key_references, key_expected, key_summaries) THEN
        RETURN -2;
    END IF;
    RETURN finish_commit(new_slot, total, alerting, at, '{}', '{}', published, new_owner);
END
$$;

