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
CREATE TABLE owed (
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
