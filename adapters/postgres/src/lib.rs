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
//!     
//! };
//! let committed = repository.commit(batch).await?;
//! assert_eq!(committed.outcomes[0].name(), "processed");
//! # Ok(())
//! # }
//! ```
//!
//! How a batch is committed: `commit.rs`, `ahead.rs` and the functions of `migrations`. Needs Postgres 13 or newer, a
//! database in UTF-8, and sessions that last as long as their connection (no pooler that hands them out per
//! transaction).

mod settings;
mod address;
mod repository;
mod commit;
mod optimistic;
mod write;
mod read;
mod groups;
mod roll_ups;
mod audit;
mod outbox;
mod rules;
mod migrate;
mod filter;
mod row;
mod stream;
mod statement;
mod pool;
mod error;

pub use address::check_url;
pub use repository::{PoolUsage, PostgresRepository};
pub use settings::PostgresSettings;
