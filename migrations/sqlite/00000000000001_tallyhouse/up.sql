-- Texts compare by bytes (the collation BINARY), as every answer is ordered. There are no foreign keys: one transaction
-- at a time writes, and it keeps the tables in step.

-- Times are microseconds since 1970-01-01T00:00:00Z: datetime(time / 1000000.0, 'unixepoch') shows them.
CREATE TABLE records (
    -- 1, 2, 3 … in the order of commits, without a gap. It is the rowid, so that a batch is appended.
    position INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    source_id TEXT NOT NULL,
    destination_id TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('positive', 'negative')),
    -- The decimal as it came. Never cast it to a number to sum it up: that would be a float.
    value TEXT NOT NULL,
    unit TEXT NOT NULL,
    reference TEXT NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    processed_at INTEGER NOT NULL,
    -- The summary of the earlier records of its key, in short form; NULL for the first one.
    previous TEXT,
    -- The rules that were met, as they were; NULL if none was.
    alerts TEXT,
    traceparent TEXT
) STRICT;
CREATE INDEX records_by_time ON records (time, record_id);
CREATE INDEX records_by_destination ON records (destination_id, time, record_id);
CREATE INDEX records_alerting ON records (position) WHERE alerts IS NOT NULL;

-- The running summary of each key: [count, first µs, last µs, [[unit, positive count, positive sum, negative count,
-- negative sum], …]].
CREATE TABLE summaries (
    destination_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (destination_id, reference)
) WITHOUT ROWID, STRICT;

-- Batches whose messages are owed, by their first and last position, and who owes them.
CREATE TABLE outbox (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL CHECK (last >= first),
    processed_at INTEGER NOT NULL,
    owner TEXT
) STRICT;

-- Until when each owner may be silent before its batches are taken over.
CREATE TABLE leases (
    owner TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- The alert rules that are managed at run time. Each commit reads their version, and the rules where it has changed.
CREATE TABLE alert_rules (
    name TEXT PRIMARY KEY,
    -- As messages bear it: a JSON object.
    rule TEXT NOT NULL,
    -- The version that its latest change has led to.
    version INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- One row.
CREATE TABLE alert_rules_version (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO alert_rules_version (only_row, version) VALUES (1, 0);

-- Totals kept ready, so that a question for totals need not read every record: for each day (in UTC), each 32 days and all
-- of time, per destination, unit and type. They hold the records up to roll_up_position, and those behind it are read as
-- they are. So commits have no part in this, and a question gets exact totals however far the folding has come.
CREATE TABLE roll_ups (
    -- How long the period is: 1 or 32; 0 for all of time.
    days INTEGER NOT NULL CHECK (days IN (0, 1, 32)),
    -- When it begins, in microseconds since 1970-01-01T00:00:00Z: the first instant there is for all of time.
    starts INTEGER NOT NULL,
    destination_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('positive', 'negative')),
    count INTEGER NOT NULL CHECK (count > 0),
    -- The exact sum, written out: see add_sums, which answers with nothing where one of two sums is none.
    sum TEXT NOT NULL CHECK (sum <> ''),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL CHECK (last >= first),
    PRIMARY KEY (days, starts, destination_id, unit, type)
) WITHOUT ROWID, STRICT;
CREATE INDEX roll_ups_by_destination ON roll_ups (destination_id, days, starts);

CREATE TABLE roll_up_position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    position INTEGER NOT NULL
) STRICT;
INSERT INTO roll_up_position (only_row, position) VALUES (1, 0);

