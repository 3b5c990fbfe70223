DROP TABLE alert_rules_version;
DROP TABLE alert_rules;
