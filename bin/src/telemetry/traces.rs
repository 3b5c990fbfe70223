//! Traces: spans of requests, queue payloads, commits and publications, sent to a collector by OTLP where one is set.
//!
//! The core knows nothing of it: the spans are made around the ports. Only what belongs to a trace that is sampled
//! costs anything, and without a collector nothing of this is there at all.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod contexts;
#[cfg(feature = "otlp")]
mod innermost;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod repository;
#[cfg(feature = "otlp")]
mod requests;
#[cfg(feature = "otlp")]
mod queues;

#[cfg(not(feature = "otlp"))]
mod absent;

#[cfg(not(feature = "otlp"))]
pub(crate) use absent::Traces;
#[cfg(feature = "otlp")]
pub(crate) use otlp::Traces;
