//! The embedded repository of Tallyhouse: Diesel on SQLite.
//!
//! [`SqliteRepository`] implements [`RecordRepository`](tallyhouse_core::ports::RecordRepository) on one file, with
//! SQLite built in: nothing to install, nothing to run beside it. Every commit is synced to the disk before it is
//! answered.
//!
//! ```no_run
//! # async fn open(clock: std::sync::Arc<dyn tallyhouse_core::ports::Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! use tallyhouse_core::ports::RecordRepository as _;
//! use tallyhouse_sqlite::{SqliteRepository, SqliteSettings};
//!
//! let repository = SqliteRepository::open(SqliteSettings::at("tallyhouse.db"), clock).await?;
//! repository.migrate().await?;
//! assert_eq!(repository.head().await?, 0);
//! # Ok(())
//! # }
//! ```

mod settings;
mod error;
// The tables, and how their rows are read.
mod schema;
mod rows;
mod statement;
mod filter;
mod migrate;
// Connections.
mod connection;
mod writer;
mod readers;
mod parts;
// The repository, question by question.
mod pipelined;
mod commit;
mod outbox;
mod rules;
mod reads;
mod groups;
mod roll_ups;
mod audit;
mod repository;
#[cfg(test)]
mod support;

pub use error::{SqliteError, SqliteProblem};
pub use repository::SqliteRepository;
pub use settings::SqliteSettings;
