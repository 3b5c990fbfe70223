//! The state that the endpoints share, and the parts of it that a host provides.

pub(crate) mod state;
pub(crate) mod alert_rules;
pub(crate) mod health_probe;
pub(crate) mod metrics_page;
pub(crate) mod rate_history;
