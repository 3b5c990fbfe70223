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
CREATE TABLE owed (
    first bigint NOT NULL,
    last bigint NOT NULL,
    processed_at timestamptz NOT NULL,
    owner text COLLATE "C",
    CONSTRAINT owed_pkey PRIMARY KEY (first)
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

-- Writes a plan: the records, given in the order of their ids; the new summaries of the keys that changed; the keys
-- whose row was created for nothing; the owed batches that are settled. Returns the first position of the records, 0
-- if there are none. Fails on records_pkey if one of the ids has been taken by another transaction meanwhile: then all
-- is to be done again.
CREATE FUNCTION write_batch(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_ones text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz,
    key_destinations text[], key_references text[], key_summaries text[],
    void_destinations text[], void_references text[],
    settled bigint[], new_owner text
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    total CONSTANT bigint := cardinality(record_ids);
    new_slot bigint;
    new_first bigint;
BEGIN
    IF total > 0 THEN
        new_slot := nextval('slots');
        -- Without ON CONFLICT, which looks every id up once more: that would be a seventh of the whole transaction, for
        -- what happens only when one id is sent under two keys at once.
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

        UPDATE summaries s SET summary = n.summary
        FROM unnest(key_destinations, key_references, key_summaries) AS n (d, r, summary)
        WHERE s.destination_id = n.d AND s.reference = n.r;
    END IF;

    IF cardinality(void_destinations) > 0 THEN
        DELETE FROM summaries s USING unnest(void_destinations, void_references) AS n (d, r)
        WHERE s.destination_id = n.d AND s.reference = n.r AND s.summary IS NULL;
    END IF;

    IF cardinality(settled) > 0 THEN
        DELETE FROM owed o WHERE o.first = ANY (settled) AND o.owner = new_owner;
    END IF;

    IF total = 0 THEN
        RETURN 0;
    END IF;

    -- Positions are dense and become visible in order, because from here to the end of the commit there is only one.
    -- A lock and the last row, not a row with a counter: under a long snapshot the versions of a counter pile up, and
    -- each batch would walk through all of them.
    PERFORM pg_advisory_xact_lock('batches'::regclass::oid::int, 0);
    SELECT coalesce(max(b.last), 0) + 1 INTO new_first FROM batches b;
    INSERT INTO batches (last, first, slot, alerting)
    VALUES (new_first + total - 1, new_first, new_slot, array_remove(alert_lists, NULL) <> '{}');
    INSERT INTO owed (first, last, processed_at, owner) VALUES (new_first, new_first + total - 1, at, new_owner);
    RETURN new_first;
END
$$;
