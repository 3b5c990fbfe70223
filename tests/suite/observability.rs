//! Metrics, traces, and what monitoring makes of them.

mod metrics;
mod monitoring;
mod traces;
