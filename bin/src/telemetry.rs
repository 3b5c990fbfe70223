//! Observability: log, metrics and traces.

pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod traces;
