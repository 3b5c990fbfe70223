DROP TABLE roll_up_position;
DROP TABLE roll_ups;
DROP TABLE alert_rules_version;
DROP TABLE alert_rules;
DROP TABLE leases;
DROP TABLE outbox;
DROP TABLE summaries;
DROP TABLE records;
