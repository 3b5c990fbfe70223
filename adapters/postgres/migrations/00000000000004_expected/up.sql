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
CREATE FUNCTION write_end(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    void_destinations text[], void_references text[], settled bigint[], new_owner text
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
    INSERT INTO batches (last, first, slot, alerting) VALUES (new_first + total - 1, new_first, new_slot, alerting);
    INSERT INTO owed (first, last, processed_at, owner) VALUES (new_first, new_first + total - 1, at, new_owner);
    RETURN new_first;
END
$$;

-- Writes a plan as a whole. Returns the first position of the records, 0 if there are none; or, with nothing written,
--   -1 if one of the ids is taken,
--   -2 if a key does not have the summary that was expected,
--   -3 if the managed rules have another version than was expected (NULL: any).
-- Each statement of a volatile function has a snapshot of its own: what another commit has written that was waited for, for
-- a key or an id, is seen.
CREATE FUNCTION write_expected(
    record_ids text[], times timestamptz[], source_ids text[], destination_ids text[], positives boolean[],
    decimals text[], units text[], refs text[], sequences bigint[], previous_ones text[], alert_lists text[],
    traceparents text[], places bigint[], at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    void_destinations text[], void_references text[],
    settled bigint[], new_owner text, rules_version bigint
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
    RETURN write_end(
        new_slot, total, array_remove(alert_lists, NULL) <> '{}', at, void_destinations, void_references, settled,
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
-- that was still under way then. Returns what write_expected does; where it is negative, the transaction is to be rolled back.
CREATE FUNCTION write_behind(
    new_slot bigint, total bigint, alerting boolean, at timestamptz,
    key_destinations text[], key_references text[], key_expected text[], key_summaries text[],
    settled bigint[], new_owner text, rules_version bigint
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
    RETURN write_end(new_slot, total, alerting, at, '{}', '{}', settled, new_owner);
END
$$;
