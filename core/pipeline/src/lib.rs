//! The pipeline of Tallyhouse: takes records from any ingress, commits each exactly once in batches through the ports of
//! `tallyhouse-core` (re-exported here as a whole), and publishes their messages.
//!
//! It knows no database and no HTTP. A host spawns the futures of the [`Driver`] on its own runtime; of tokio the pipeline
//! needs the synchronisation primitives and, for [`TokioClock`] (feature `tokio-clock`, on by default), the timer.
//! [`Pipeline`] has an example.

pub use tallyhouse_core::*;

// A record's way, in the order in which to read it.
mod pipeline;
mod settings;
mod ingress;
mod submit_error;
mod commit;
mod publish;
mod close_signal;
// Around it.
mod consumer;
mod read;
mod dependency;
mod meter;
#[cfg(feature = "tokio-clock")]
mod tokio_clock;
pub mod adapter;
#[cfg(test)]
mod test_harness;

pub use consumer::{Consumer, PAYLOAD_BYTES_MAX};
pub use dependency::breaker::{Breaker, BreakerState, Breakers};
pub use dependency::error_chain::ErrorChain;
pub use dependency::retry::RetryPolicy;
pub use ingress::Ingress;
pub use ingress::chunks::{OrderedChunks, Submission};
pub use ingress::ordered::OrderedIngress;
pub use meter::{Histogram, HistogramReading, IngressReading, Readings};
pub use pipeline::{Driver, Pipeline, PipelineParts};
pub use publish::publisher::Publisher;
pub use read::audit::{AuditReport, audit};
pub use read::dry_run::{DryRun, DryRunReport};
pub use read::export::{Export, ExportPage, export};
pub use read::feed::{Feed, FeedError};
pub use settings::PipelineSettings;
pub use submit_error::SubmitError;
#[cfg(feature = "tokio-clock")]
pub use tokio_clock::TokioClock;
// Types of other crates that appear in signatures, and the macro that implements a port.
pub use async_trait::async_trait;
pub use futures::future::BoxFuture;
pub use tokio::sync::watch;
