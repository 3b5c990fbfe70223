//! The embedded repository of Tallyhouse: Diesel on SQLite.
//!
//! [`SqliteRepository`] implements [`RecordRepository`](tallyhouse_core::ports::RecordRepository) on one file, with
//! SQLite built in: nothing to install, nothing to run beside it. Every commit is synced to the disk before it is
//! answered.
//!
//! ```no_run
//! # async fn open(clock: std::sync::Arc<dyn tallyhouse_core::ports::Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! use tallyhouse_core::ports::RecordReader as _;
//! use tallyhouse_sqlite::{SqliteRepository, SqliteSettings};
//!
//! let repository = SqliteRepository::open(SqliteSettings::at("tallyhouse.db"), clock).await?;
//! repository.migrate().await?;
//! assert_eq!(repository.head().await?, 0);
//! # Ok(())
//! # }
//! ```

mod repository;
mod write;
mod read;
mod connection;
mod sql;
#[cfg(test)]
mod test_support;

pub use connection::settings::SqliteSettings;
pub use repository::SqliteRepository;
pub use sql::error::{SqliteError, SqliteProblem};
