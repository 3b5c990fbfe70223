//! The production repository of Tallyhouse: Diesel on Postgres.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tallyhouse_core::ports::{Batch, RecordRepository};
//! use tallyhouse_core::{Draft, RuleBook, Timestamp};
//! use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://localhost/tallyhouse".to_owned();
//! let repository = PostgresRepository::new(PostgresSettings { url, ..PostgresSettings::default() });
//! repository.migrate().await?;
//!
//! let record = Draft {
//!     record_id: "r-1", time: "2026-01-01T00:00:00Z", source_id: "till-3", destination_id: "shop-9",
//!     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
//! };
//! let batch = Batch {
//!     arrivals: Arc::from([record.check()?.into()]),
//!     rules: Arc::new(RuleBook::default()),
//!     now: Timestamp::parse("2026-01-01T00:00:01Z")?,
//!     owner: None,
//!     published: Vec::new(),
//! };
//! let committed = repository.commit(batch).await?;
//! assert_eq!(committed.outcomes[0].name(), "processed");
//! # Ok(())
//! # }
//! ```
//!
//! How a batch is committed is in `write/commit.rs` and in the functions of the package `tallyhouse-migrations`.
//!
//! It needs Postgres 15 or newer, a database in UTF-8, and sessions that last as long as their connection: no pooler in
//! transaction mode.

mod repository;
mod write;
mod read;
mod connection;
mod sql;

pub use connection::address::check_url;
pub use connection::settings::{PostgresSettings, is_unprotected};
pub use repository::{PoolUsage, PostgresRepository};
