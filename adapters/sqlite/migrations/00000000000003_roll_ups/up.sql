-- Totals kept ready, so that a question for totals need not read every record: for each day (in UTC), each 32 days and all
-- of time, per destination, unit and type. They hold the records up to roll_up_position, and those behind it are read as
-- they are. So commits have no part in this, and a question gets exact totals however far the folding has come.
CREATE TABLE roll_ups (
    -- How long the stretch is: 1 or 32; 0 for all of time.
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
