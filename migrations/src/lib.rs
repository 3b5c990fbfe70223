//! The schemas of both databases, embedded: `postgres/` and `sqlite/` beside this crate's `src/`.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # {
//! let schema: diesel_migrations::EmbeddedMigrations = tallyhouse_migrations::SQLITE;
//! # }
//! ```

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// The schema for Postgres 15 or newer.
#[cfg(feature = "postgres")]
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("postgres");

/// The schema for SQLite 3.37 or newer (`STRICT` tables).
#[cfg(feature = "sqlite")]
pub const SQLITE: EmbeddedMigrations = embed_migrations!("sqlite");
