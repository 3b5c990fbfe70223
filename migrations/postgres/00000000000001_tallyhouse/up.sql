-- The schema for Postgres 15 or newer: first the tables, then the functions.
--
-- Texts sort by bytes (COLLATE "C"): keys are locked in this order, and answers are sorted by it.
-- There are no foreign keys: the functions below keep the tables in step, and a key would cost a look-up per record.

-- The processed records.
-- Fixed-width columns come first, so that rows have no padding.
CREATE TABLE records (
    time timestamptz NOT NULL,
    processed_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    -- The slot of the record's batch, plus its place in the batch: see batches.
    slot bigint NOT NULL,
    positive boolean NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    source_id text COLLATE "C" NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    -- Without precision and scale: every value is kept exactly, with the scale it came with.
    value numeric NOT NULL,
    -- The summary of the key's earlier records in compact form; NULL for the first record.
    previous text COLLATE "C",
    -- The alert rules that the record met, as they were then; NULL if it met none.
    alerts text COLLATE "C",
    traceparent text COLLATE "C",
    CONSTRAINT records_pkey PRIMARY KEY (record_id)
);
CREATE INDEX records_by_time ON records (time, record_id);
CREATE INDEX records_by_destination ON records (destination_id, time, record_id);
CREATE INDEX records_by_slot ON records (slot);
CREATE INDEX records_alerting ON records (slot) WHERE alerts IS NOT NULL;
CREATE INDEX records_alerting_by_time ON records (time, record_id) WHERE alerts IS NOT NULL;

-- The running summary of each key, in compact form. NULL only within a transaction that creates the row to lock the key.
-- Every batch updates the rows of its keys. Free space in each page keeps the new versions on the same page, so that the
-- index need not change (HOT updates).
CREATE TABLE summaries (
    destination_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    summary text COLLATE "C",
    CONSTRAINT summaries_pkey PRIMARY KEY (destination_id, reference)
) WITH (fillfactor = 30);

-- The committed batches. A batch takes a block of 2^20 slots before it inserts its records, without waiting for another
-- batch. It takes its positions at the end, in the order of commits. A record's position is
-- batches.first + (records.slot - batches.slot), so no record is written twice.
CREATE SEQUENCE slots AS bigint INCREMENT BY 1048576 MINVALUE 0;
CREATE TABLE batches (
    last bigint NOT NULL,
    first bigint NOT NULL,
    slot bigint NOT NULL,
    -- Whether one of its records met an alert rule.
    alerting boolean NOT NULL,
    CONSTRAINT batches_pkey PRIMARY KEY (last)
);
CREATE INDEX batches_alerting ON batches (last) WHERE alerting;

-- The outbox: batches whose messages are not known to be published, with the instance that publishes them.
CREATE TABLE outbox (
    first bigint NOT NULL,
    last bigint NOT NULL,
    -- A random number. A database that was restored to an earlier state uses positions again; an entry is identified by
    -- its first position and this number.
    nonce bigint NOT NULL,
    processed_at timestamptz NOT NULL,
    owner text COLLATE "C",
    -- The name of the emitter that has to publish it; NULL for any. No other one may claim it.
    emitter text COLLATE "C",
    CONSTRAINT outbox_pkey PRIMARY KEY (first)
);

-- The leases of the owners of outbox entries, by the clock of this server. Other instances may claim the entries of an
-- owner whose lease has lapsed.
CREATE TABLE leases (
    owner text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    -- How long the lease was. A lease that ends more than twice its length from now has lapsed: the clock that wrote it
    -- was ahead.
    length interval NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (owner)
);

-- The alert rules that are managed at run time. Every commit reads their version, and the rules when it has changed.
CREATE TABLE alert_rules (
    name text COLLATE "C" NOT NULL,
    -- A JSON object, as in messages.
    rule text COLLATE "C" NOT NULL,
    -- The version of the rules after the latest change of this one.
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT alert_rules_pkey PRIMARY KEY (name)
);

-- One row. A transaction that changes a rule locks it first.
CREATE TABLE alert_rules_version (
    only_row boolean DEFAULT true NOT NULL CHECK (only_row),
    version bigint NOT NULL,
    CONSTRAINT alert_rules_version_pkey PRIMARY KEY (only_row)
);
INSERT INTO alert_rules_version (version) VALUES (0);

-- Roll-ups: the totals of each destination, unit and type per UTC day, per 32 days and of all time. A query for totals
-- reads them instead of every record. They hold the records up to roll_up_position; a query reads later records one by
-- one. So commits do not update roll-ups, and totals are exact however far the roll-ups are behind.
CREATE TABLE roll_ups (
    first timestamptz NOT NULL,
    last timestamptz NOT NULL,
    count bigint NOT NULL,
    -- The first day of the period; '-infinity' for all time.
    starts date NOT NULL,
    -- The length of the period: 1 or 32 days; 0 for all time.
    days smallint NOT NULL,
    positive boolean NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    sum numeric NOT NULL,
    CONSTRAINT roll_ups_pkey PRIMARY KEY (days, starts, destination_id, unit, positive)
) WITH (fillfactor = 50);
CREATE INDEX roll_ups_by_destination ON roll_ups (destination_id, days, starts);

-- One row. A transaction that rolls up locks it first.
CREATE TABLE roll_up_position (
    only_row boolean DEFAULT true NOT NULL CHECK (only_row),
    position bigint NOT NULL,
    CONSTRAINT roll_up_position_pkey PRIMARY KEY (only_row)
);
INSERT INTO roll_up_position (position) VALUES (0);

-- The functions are volatile: each of their statements has a snapshot of its own under READ COMMITTED. After a wait for
-- a lock, the next statement sees the commit of the other transaction.
--
-- A commit takes its locks in this order: the keys, sorted by bytes; the record ids, sorted by bytes; the lock of the
-- positions. A pipelined commit takes the ids before the keys. It therefore runs only beside commits of its own process,
-- which wait for each other outside of Postgres.

-- Returns the stored state: in the first row the summaries of the keys, in their order, NULL for a key without records;
-- in the other rows the records with these ids. Locks nothing.
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

-- Locks the keys, given in sorted order, until the transaction ends. Creates the missing rows. Then returns the stored
-- state, as read_known does.
CREATE FUNCTION lock_and_read(key_destinations text[], key_references text[], ids text[])
RETURNS TABLE (
    summaries text[], record_id text, "time" timestamptz, source_id text, destination_id text, positive boolean,
    value text, unit text, reference text, sequence bigint, processed_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    -- DO UPDATE locks an existing row; WHERE false keeps it from being written.
    INSERT INTO summaries AS s (destination_id, reference)
    SELECT k.d, k.r FROM unnest(key_destinations, key_references) AS k (d, r)
    ON CONFLICT (destination_id, reference) DO UPDATE SET summary = s.summary WHERE false;

    RETURN QUERY SELECT * FROM read_known(key_destinations, key_references, ids);
END
$$;

-- Inserts records, given in the order of their ids, and returns the slot of their batch. Fails on records_pkey if an id
-- is taken.
CREATE FUNCTION insert_records(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_summaries text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    new_slot CONSTANT bigint := nextval('slots');
BEGIN
    -- No ON CONFLICT: it looks up every id a second time, which costs a seventh of the whole transaction.
    INSERT INTO records (
        time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, reference, unit, value,
        previous, alerts, traceparent
    )
    SELECT n.time, at, n.sequence, new_slot + n.place, n.positive, n.record_id, n.source_id, n.destination_id,
        n.reference, n.unit, n.value::numeric, n.previous, n.alerts, n.traceparent
    FROM unnest(
        record_ids, times, source_ids, destination_ids, positives, decimals, units, refs, sequences, previous_summaries,
        alert_lists, traceparents, places
    ) AS n (
        record_id, time, source_id, destination_id, positive, value, unit, reference, sequence, previous,
        alerts, traceparent, place
    );
    RETURN new_slot;
END
$$;

-- Updates the summaries of keys, given in sorted order, where the stored summary is the expected one (NULL: none).
-- Returns whether all of them were updated.
-- Keys without records are written first. Beside a commit that locks such a key and an earlier one with records, this can
-- deadlock; Postgres ends one of the two, which is tried again.
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
    -- The row exists if lock_and_read has created it in this transaction.
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

-- Ends a commit: removes the rows of keys that were only locked and have no records, and the published outbox entries of
-- this owner; gives the batch its positions and an outbox entry. Returns the first position, 0 for a batch without
-- records.
CREATE FUNCTION finish_commit(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    empty_destinations text[], empty_references text[], published bigint[], published_nonces bigint[],
    new_owner text, new_emitter text, new_nonce bigint
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    new_first bigint;
BEGIN
    IF cardinality(empty_destinations) > 0 THEN
        DELETE FROM summaries s USING unnest(empty_destinations, empty_references) AS n (d, r)
        WHERE s.destination_id = n.d AND s.reference = n.r AND s.summary IS NULL;
    END IF;

    IF cardinality(published) > 0 THEN
        DELETE FROM outbox o USING unnest(published, published_nonces) AS p (first, nonce)
        WHERE o.first = p.first AND o.nonce = p.nonce AND o.owner = new_owner;
    END IF;

    IF total = 0 THEN
        -- The batch has duplicates and conflicts only, and is answered from commits of other transactions. Such a
        -- commit may be visible before it is durable, e.g. on a synchronous standby. So this transaction must write
        -- WAL: its COMMIT then waits until all earlier WAL is durable. A transaction that writes nothing waits for
        -- nothing.
        PERFORM pg_logical_emit_message(true, 'tallyhouse', ''::text);
        RETURN 0;
    END IF;

    -- From here to the end of the transaction there is one commit at a time. So positions have no gap and become visible
    -- in order.
    -- The next position comes from the last batch under an advisory lock, not from a counter row: under a long snapshot
    -- the dead versions of such a row pile up, and every batch would scan them.
    PERFORM pg_advisory_xact_lock('batches'::regclass::oid::int, 0);
    SELECT coalesce(max(b.last), 0) + 1 INTO new_first FROM batches b;
    INSERT INTO batches (last, first, slot, alerting) VALUES (new_first + total - 1, new_first, new_slot, alerting);
    INSERT INTO outbox (first, last, nonce, processed_at, owner, emitter)
    VALUES (new_first, new_first + total - 1, new_nonce, at, new_owner, new_emitter);
    RETURN new_first;
END
$$;

-- Writes a plan. Returns the first position of its records, 0 if it has none; or, with nothing written,
--   -1 if one of the ids is taken,
--   -2 if a key has another summary than the expected one,
--   -3 if the managed rules have another version than the expected one (NULL: any).
CREATE FUNCTION write_plan(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_summaries text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    empty_destinations text[], empty_references text[],
    published bigint[], published_nonces bigint[], new_owner text, new_emitter text, new_nonce bigint, rules_version bigint
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
        new_slot := insert_records(
            record_ids, times, source_ids, destination_ids, positives, decimals, units, refs, sequences,
            previous_summaries, alert_lists, traceparents, places, at
        );
    END IF;
    RETURN finish_commit(
        new_slot, total, array_remove(alert_lists, NULL) <> '{}', at, empty_destinations, empty_references, published,
        published_nonces, new_owner, new_emitter, new_nonce
    );
EXCEPTION
    -- The handlers undo the writes of the block, and keep the expected failures out of the server's log.
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

-- Writes the rest of a plan whose records are inserted in the same transaction: for a batch that is pipelined upon
-- another commit. Returns the same numbers as write_plan. If the result is negative, the caller must roll back.
CREATE FUNCTION write_pipelined(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    published bigint[], published_nonces bigint[], new_owner text, new_emitter text, new_nonce bigint, rules_version bigint
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
    RETURN finish_commit(
        new_slot, total, alerting, at, '{}', '{}', published, published_nonces, new_owner, new_emitter, new_nonce
    );
END
$$;

-- Rolls up the next batches: as many as have records_max records together, or one larger batch. Returns their number of
-- records; 0 if no batch is left, or if another transaction is rolling up.
-- The batches are chosen by their positions, which never change, so that all statements see the same ones.
CREATE FUNCTION roll_up(records_max bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
-- Small tables are read by index, too: the plan is kept while they grow.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    done bigint;
    until bigint;
    -- The first day there is: periods of 32 days are counted from it.
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
        -- OFFSET 0 keeps the planner from merging the subquery, so that the records are always found by their slots.
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

-- Views for reports. Their names, columns and types stay as they are when the tables change.

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
