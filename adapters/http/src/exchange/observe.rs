//! Observability: access log, request metrics, trace spans, and throttled log lines.

pub(crate) mod log_throttle;
pub(crate) mod access_log;
pub(crate) mod request_meter;
pub(crate) mod tracer;
