//! Opens the configured database.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tallyhouse_pipeline::ports::{PortError, RuleRepository, Store};
use tallyhouse_postgres::{PostgresRepository, PostgresSettings, is_unprotected};
use tallyhouse_sqlite::{SqliteRepository, SqliteSettings};
use tempfile::TempDir;

use crate::settings::{DatabaseUrl, Settings};
use tallyhouse_pipeline::{ErrorChain, TokioClock};

/// An open database.
pub(crate) struct Database {
    /// Commits, reads and the outbox.
    pub(crate) store: Arc<dyn Store>,
    /// The stored alert rules.
    pub(crate) rules: Arc<dyn RuleRepository>,
    /// The adapter to Postgres, if it is one: the metrics read its pools.
    pub(crate) postgres: Option<PostgresRepository>,
    /// How many batches it commits at once by default.
    pub(crate) writers: usize,
    migrated: Vec<String>,
    /// The folder of a temporary database, deleted when this is dropped.
    _temporary: Option<TempDir>,
}

/// What to do about a missing or old schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// Migrate it.
    Migrate,
    /// Refuse it: a reading command changes nothing.
    Check,
}

impl Database {
    /// Opens the configured database.
    ///
    /// # Errors
    /// It can't be used; the error tells the remedy.
    pub(crate) async fn open(settings: &Settings, schema: Schema) -> anyhow::Result<Self> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) => {
                if schema == Schema::Check && !path.exists() {
                    bail!("there is no database {}; serve or import creates it", settings.database);
                }
                Self::sqlite(SqliteSettings { path: path.clone(), ..settings.sqlite.clone() }, schema, None).await
            }
            DatabaseUrl::Temporary => {
                let owner_only = fs::Permissions::from_mode(0o700);
                let folder = tempfile::Builder::new().prefix("tallyhouse-").permissions(owner_only).tempdir();
                let folder = folder.context("a temporary folder for the database can't be made")?;
                let path = folder.path().join("tallyhouse.db");
                // A temporary database is always new, so even a reading command has to migrate it.
                Self::sqlite(SqliteSettings { path, ..settings.sqlite.clone() }, Schema::Migrate, Some(folder)).await
            }
            DatabaseUrl::Postgres(url) => {
                warn_of_clear_text(&settings.database, url);
                let postgres = PostgresSettings { url: url.clone(), ..settings.postgres.clone() };
                Self::postgres(postgres, schema).await.map_err(|error| unusable(&settings.database, &error))
            }
        }
    }

    /// Returns the migrations that were applied when the database was opened.
    pub(crate) fn migrated(&self) -> &[String] {
        &self.migrated
    }

    async fn sqlite(settings: SqliteSettings, schema: Schema, temporary: Option<TempDir>) -> anyhow::Result<Self> {
        let clock = Arc::new(TokioClock::start());
        let (repository, migrated) = match schema {
            Schema::Migrate => {
                let repository = SqliteRepository::open(settings, clock).await?;
                let migrated = repository.migrate().await?;
                (repository, migrated)
            }
            Schema::Check => {
                let repository = SqliteRepository::open_read_only(settings, clock).await?;
                repository.check_schema().await?;
                (repository, Vec::new())
            }
        };
        let repository = Arc::new(repository);
        Ok(Self {
            rules: repository.clone(),
            store: repository,
            postgres: None,
            writers: 2,
            migrated,
            _temporary: temporary,
        })
    }

    async fn postgres(settings: PostgresSettings, schema: Schema) -> Result<Self, PortError> {
        let writers = usize::try_from(settings.writers).unwrap_or(usize::MAX);
        let repository = PostgresRepository::new(settings);
        let migrated = match schema {
            Schema::Migrate => repository.migrate().await?,
            Schema::Check => repository.check_schema().await.map(|()| Vec::new())?,
        };
        let postgres = Some(repository.clone());
        let repository = Arc::new(repository);
        Ok(Self { rules: repository.clone(), store: repository, postgres, writers, migrated, _temporary: None })
    }
}

/// Logs a warning if no setting says how the connection to another machine is protected.
pub(crate) fn warn_of_clear_text(database: &DatabaseUrl, url: &str) {
    if is_unprotected(url) {
        tracing::warn!(
            %database,
            "the URL of the database has no sslmode: records may be read on the way, and nobody verifies the server; add \
             sslmode=verify-full, or sslmode=disable on a network that you trust. A plain password is not sent"
        );
    }
}

/// Makes the error of a database that can't be used. A command shows only the causes: the port's own text is meant for
/// the log of a running service.
fn unusable(database: &DatabaseUrl, error: &PortError) -> anyhow::Error {
    let text = error.source().map_or_else(|| error.to_string(), |cause| ErrorChain(cause).to_string());
    anyhow!("the database {database} can't be used: {text}")
}
