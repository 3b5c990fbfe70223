//! The HTTP API of Tallyhouse: warp behind a hardened accept loop.
//!
//! ```no_run
//! # async fn run(pipeline: tallyhouse_pipeline::Pipeline, feed: tallyhouse_pipeline::Feed,
//! #     reader: std::sync::Arc<dyn tallyhouse_pipeline::ports::RecordReader>,
//! #     repository: std::sync::Arc<dyn tallyhouse_pipeline::ports::RecordRepository>) -> std::io::Result<()> {
//! use tallyhouse_http::{HttpApp, HttpServer, HttpSettings};
//! use tokio_util::sync::CancellationToken;
//!
//! let app = HttpApp {
//!     ingress: pipeline.ingress(),
//!     batch_ingress: pipeline.ingress(),
//!     breakers: pipeline.breakers(),
//!     feed, reader, repository,
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

mod settings;
mod serving;
mod keys;
mod bounds;
mod access;
mod exchange;
mod endpoints;
mod service;
mod openapi;
mod routes;
mod app;
mod file_watcher;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::alert_rules::AlertRules;
pub use app::health_probe::{HealthProbe, ProbeState};
pub use app::metrics_page::{MetricsPage, ServerReadings};
pub use app::rate_history::RateHistory;
pub use app::state::HttpApp;
pub use exchange::observe::request_meter::RequestReading;
pub use exchange::observe::tracer::{RequestHead, RequestSpan, RequestTracer};
pub use exchange::response::problem::ProblemCode;
pub use keys::key_ring::{KeyRing, KeysFileError};
pub use keys::write_prefixes::{WritePrefixError, WritePrefixes};
pub use keys::{NewKey, NewKeyError, Scope};
pub use openapi::{asyncapi, asyncapi_yaml, message_schemas, openapi};
pub use serving::connection::pem::pem_fault;
pub use serving::connection::tls::{TlsFilesError, TlsIdentity};
pub use serving::server::HttpServer;
pub use settings::{HttpSettings, RateLimit};
