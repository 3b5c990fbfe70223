//! What operators manage: rules, dead letters, keys, the dashboard.

pub(crate) mod alert_rules;
pub(crate) mod bound_keys;
pub(crate) mod dashboard;
pub(crate) mod dead_letters;
pub(crate) mod dry_runs;
pub(crate) mod keys;
