//! Traces: spans of requests, queue payloads, commits and publications, exported by OTLP to the collector of
//! `otlp.endpoint`.
//!
//! Decorators around the ports make the spans, so that the core knows no tracing. Unsampled records cost one flag check.
//! Without a collector no decorator is installed.

#[cfg(feature = "otlp")]
mod otlp_exporter;
#[cfg(feature = "otlp")]
mod contexts;
#[cfg(feature = "otlp")]
mod parent_spans;
#[cfg(feature = "otlp")]
mod tracer;
#[cfg(feature = "otlp")]
mod repository;
#[cfg(feature = "otlp")]
mod requests;
#[cfg(feature = "otlp")]
mod queues;
#[cfg(feature = "otlp")]
mod decorators;

#[cfg(not(feature = "otlp"))]
mod disabled;

#[cfg(not(feature = "otlp"))]
pub(crate) use disabled::Traces;
#[cfg(feature = "otlp")]
pub(crate) use tracer::Traces;
