//! The endpoints for operators: dead letters and alert rules.

pub(crate) mod dead_letters;
pub(crate) mod alert_rules;
pub(crate) mod dry_run;
