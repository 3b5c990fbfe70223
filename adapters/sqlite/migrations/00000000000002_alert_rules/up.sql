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
