//! The pipeline of Tallyhouse: takes records from any ingress, commits them in batches through the ports of
//! `tallyhouse-core` (re-exported here as a whole), and publishes their messages.
//!
//! It knows no database and no HTTP, and of tokio only its synchronisation primitives: a host spawns the futures of the
//! [`Driver`] on its own runtime.

pub use tallyhouse_core::*;

// The way of a record, in the order in which to read it.
mod pipeline;
mod intake;
mod order;
mod writer;
mod bisect;
mod handoff;
mod relay;
// Around it.
mod error_chain;
mod retry;
mod breaker;
mod meter;
mod consumer;
mod feed;
mod export;
mod dry_run;
mod audit;
// For adapters.
mod summary_cache;
mod roll_up_schedule;
#[cfg(test)]
mod harness;

pub use audit::{AuditReport, audit};
pub use breaker::{Breaker, BreakerState, Breakers};
pub use consumer::{Consumer, PAYLOAD_BYTES_MAX};
pub use dry_run::{DryRun, DryRunReport};
pub use export::{Export, ExportPage, export};
pub use feed::{Feed, FeedError};
pub use intake::{Ingress, SubmitError};
pub use meter::{Histogram, HistogramReading, IngressReading, Readings};
pub use order::OrderedIngress;
pub use pipeline::{Driver, Pipeline, PipelineParts, PipelineSettings, Publisher};
pub use retry::RetryPolicy;

/// For adapters: what a repository caches, and when it rolls up.
pub mod adapter {
    pub use crate::roll_up_schedule::RollUpSchedule;
    pub use crate::summary_cache::{SpeculationGate, SummaryCache};
}
