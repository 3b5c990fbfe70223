//! The HTTP ingress of Tallyhouse: warp behind an accept loop of our own.
//!
//! ```no_run
//! # async fn run(pipeline: tallyhouse_pipeline::Pipeline, feed: tallyhouse_pipeline::Feed,
//! #     repository: std::sync::Arc<dyn tallyhouse_pipeline::ports::RecordRepository>) -> std::io::Result<()> {
//! use tallyhouse_http::{HttpApp, HttpServer, HttpSettings};
//! use tokio_util::sync::CancellationToken;
//!
//! let app = HttpApp {
//!     ingress: pipeline.ingress(),
//!     breakers: pipeline.breakers(),
//!     feed, repository,
//!     format: tallyhouse_pipeline::MessageFormat::default(),
//!     dead_letters: None,
//!     alert_rules: None,
//!     probes: Vec::new(),
//!     keys: None,
//! };
//! let server = HttpServer::bind("127.0.0.1:8080", HttpSettings::default()).await?;
//! let stop = CancellationToken::new();
//! server.serve(app, stop).await;
//! # Ok(())
//! # }
//! ```

// The server, from the outside in.
mod settings;
mod server;
mod files;
mod tls;
mod handshake;
mod activity;
mod malformed_request;
mod connection;
mod request_meter;
mod middleware;
mod access_log;
mod tracer;
mod headers;
mod app;
mod keys;
mod key_ring;
mod access;
mod limits;
mod routes;
// What requests are made of.
mod parameters;
mod cursor;
mod media;
mod format;
mod traceparent;
mod body;
mod lines;
// What answers are made of.
mod problem;
mod log_throttle;
mod result;
mod stream;
mod concurrency_limit;
// What the routes do.
mod records;
mod chunk;
mod batch;
mod ndjson;
mod aggregates;
mod response_cache;
mod conditional;
mod export;
mod summaries;
mod messages;
mod dead_letters;
mod alert_rules;
mod dry_run;
mod health;
mod metrics;
mod dashboard;
mod openapi;
#[cfg(feature = "testing")]
pub mod testing;

pub use alert_rules::AlertRules;
pub use app::HttpApp;
pub use health::{HealthProbe, ProbeState};
pub use key_ring::{KeyRing, KeysFileError};
pub use keys::{NewKey, NewKeyError, Scope};
pub use metrics::{MetricsPage, ServerReadings};
pub use openapi::{message_schemas, openapi};
pub use problem::ProblemCode;
pub use request_meter::RequestReading;
pub use server::HttpServer;
pub use settings::{HttpSettings, RateLimit};
pub use tls::{TlsFilesError, TlsIdentity};
pub use tracer::{RequestHead, RequestSpan, RequestTracer};
