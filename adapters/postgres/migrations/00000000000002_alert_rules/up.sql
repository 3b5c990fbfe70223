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
