DROP TABLE alert_rules_version, alert_rules;
