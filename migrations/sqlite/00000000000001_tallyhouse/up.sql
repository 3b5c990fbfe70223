-- The schema for SQLite 3.37 or newer.
--
-- Texts sort by bytes (the collation BINARY), as answers do. There are no foreign keys: one transaction writes at a time,
-- and it keeps the tables in step.
-- Times are microseconds since 1970-01-01T00:00:00Z: datetime(time / 1000000.0, 'unixepoch') shows them.

-- The processed records.
CREATE TABLE records (
    -- 1, 2, 3 … in the order of commits, without a gap. It is the rowid, so that a batch is appended.
    position INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('positive', 'negative')),
    -- The decimal as it came. SQLite's own sum() would turn it into a float.
    value TEXT NOT NULL,
    unit TEXT NOT NULL,
    reference TEXT NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    processed_at INTEGER NOT NULL,
    -- The summary of the key's earlier records in compact form; NULL for the first record.
    previous TEXT,
    -- The alert rules that the record met, as they were then; NULL if it met none.
    alerts TEXT,
    traceparent TEXT
) STRICT;
CREATE INDEX records_by_time ON records (time, record_id);
CREATE INDEX records_by_destination ON records (destination_id, time, record_id);
CREATE INDEX records_alerting ON records (position) WHERE alerts IS NOT NULL;
CREATE INDEX records_alerting_by_time ON records (time, record_id) WHERE alerts IS NOT NULL;

-- The running summary of each key in compact form: [count, first µs, last µs, [[unit, positive count, positive sum,
-- negative count, negative sum], …]].
CREATE TABLE summaries (
    destination_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (destination_id, reference)
) WITHOUT ROWID, STRICT;

-- The outbox: batches whose messages are not known to be published, by their first and last position, with the instance
-- that publishes them.
CREATE TABLE outbox (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL CHECK (last >= first),
    -- A random number. A database that was restored to an earlier state uses positions again; an entry is identified by
    -- its first position and this number.
    nonce INTEGER NOT NULL,
    processed_at INTEGER NOT NULL,
    owner TEXT,
    -- The name of the emitter that has to publish it; NULL for any. No other one may claim it.
    emitter TEXT
) STRICT;

-- The leases of the owners of outbox entries. Other instances may claim the entries of an owner whose lease has lapsed.
CREATE TABLE leases (
    owner TEXT PRIMARY KEY,
    until INTEGER NOT NULL,
    -- How long the lease was. A lease that ends more than twice its length from now has lapsed: the clock that wrote it
    -- was ahead.
    length INTEGER NOT NULL CHECK (length > 0)
) WITHOUT ROWID, STRICT;

-- The alert rules that are managed at run time. Every commit reads their version, and the rules when it has changed.
CREATE TABLE alert_rules (
    name TEXT PRIMARY KEY,
    -- A JSON object, as in messages.
    rule TEXT NOT NULL,
    -- The version of the rules after the latest change of this one.
    version INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- One row.
CREATE TABLE alert_rules_version (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO alert_rules_version (only_row, version) VALUES (1, 0);

-- Roll-ups: the totals of each destination, unit and type per UTC day, per 32 days and of all time. A query for totals
-- reads them instead of every record. They hold the records up to roll_up_position; a query reads later records one by
-- one. So commits do not update roll-ups, and totals are exact however far the roll-ups are behind.
CREATE TABLE roll_ups (
    -- The length of the period: 1 or 32 days; 0 for all time.
    days INTEGER NOT NULL CHECK (days IN (0, 1, 32)),
    -- The beginning of the period in microseconds since 1970-01-01T00:00:00Z; the earliest time for all time.
    starts INTEGER NOT NULL,
    destination_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('positive', 'negative')),
    count INTEGER NOT NULL CHECK (count > 0),
    -- The exact sum as a decimal. The function add_sums returns '' if one of its arguments is no decimal.
    sum TEXT NOT NULL CHECK (sum <> ''),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    PRIMARY KEY (days, starts, destination_id, unit, type)
) WITHOUT ROWID, STRICT;
CREATE INDEX roll_ups_by_destination ON roll_ups (destination_id, days, starts);

-- One row.
CREATE TABLE roll_up_position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    position INTEGER NOT NULL
) STRICT;
INSERT INTO roll_up_position (only_row, position) VALUES (1, 0);

-- Views for reports. Their names, columns and types stay as they are when the tables change.
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
