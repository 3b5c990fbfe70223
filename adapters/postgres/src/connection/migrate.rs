//! Applies the embedded migrations, and checks the schema.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness;
use tallyhouse_migrations::POSTGRES as MIGRATIONS;

use super::applied_migrations::applied;
use super::sessions;
use crate::connection::settings::PostgresSettings;
use crate::sql::error::StoreError;
use crate::sql::statement::Statement;

/// The advisory lock around migrations: instances that start at once migrate one after the other. The number is "tally"
/// in ASCII.
const LOCK: i64 = 0x0074_616c_6c79;

/// Runs the pending migrations, and returns their names. Uses a connection of its own without time-outs of the server:
/// the caller has one time-out for all of it.
pub(crate) fn migrate(settings: &PostgresSettings) -> Result<Vec<String>, StoreError> {
    let mut connection = connect(settings)?;
    sessions::check(settings, &mut connection)?;
    check_encoding(&mut connection)?;
    warn_of_unsafe_settings(&mut connection)?;
    warn_of_read_only(&mut connection)?;
    // A current schema needs neither the lock nor the right to create tables.
    if pending(&mut connection)?.is_empty() {
        return Ok(Vec::new());
    }
    // A session lock ends with the session, so an error below leaves none behind.
    connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    pending(&mut connection)?;
    let run = connection.run_pending_migrations(MIGRATIONS).map_err(migration_error)?;
    let names = run.iter().map(ToString::to_string).collect();
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
    Ok(names)
}

/// Checks that the schema is the one of this version.
pub(crate) fn check(settings: &PostgresSettings) -> Result<(), StoreError> {
    let mut connection = connect(settings)?;
    sessions::check(settings, &mut connection)?;
    check_encoding(&mut connection)?;
    warn_of_unsafe_settings(&mut connection)?;
    if !pending(&mut connection)?.is_empty() {
        let advice = "run the migrations, by `tallyhouse migrate` or `migrate()`";
        return Err(StoreError::Misuse(format!("the schema is older than this version: {advice}")));
    }
    Ok(())
}

fn connect(settings: &PostgresSettings) -> Result<PgConnection, StoreError> {
    let mut connection = PgConnection::establish(&settings.connection_string())
        .map_err(|error| StoreError::Unreachable(Box::new(error)))?;
    connection.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning")?;
    Ok(connection)
}

/// Checks that the encoding is UTF-8. Others refuse characters that records may have, so that a valid record would be
/// refused.
fn check_encoding(connection: &mut PgConnection) -> Result<(), StoreError> {
    let encoding: String =
        Statement::<Text>::new("SELECT current_setting('server_encoding')").get_result(connection)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(StoreError::Misuse(format!("the database is in {encoding}; it must be created with ENCODING 'UTF8'")))
}

/// Warns of settings of the server under which an acknowledged commit may be lost. The sessions themselves set
/// `synchronous_commit` and the isolation, which [`sessions::check`] checks.
fn warn_of_unsafe_settings(connection: &mut PgConnection) -> Result<(), StoreError> {
    let (fsync, full_page_writes): (String, String) =
        Statement::<(Text, Text)>::new("SELECT current_setting('fsync'), current_setting('full_page_writes')")
            .get_result(connection)?;
    for (setting, value) in [("fsync", fsync), ("full_page_writes", full_page_writes)] {
        if value != "on" {
            tracing::warn!(setting, value, "a crash of the database's host can lose or damage acknowledged records");
        }
    }
    Ok(())
}

/// Warns of a database that takes no records: a standby, or one that is set to be read only.
fn warn_of_read_only(connection: &mut PgConnection) -> Result<(), StoreError> {
    let read_only: String =
        Statement::<Text>::new("SELECT current_setting('transaction_read_only')").get_result(connection)?;
    if read_only == "on" {
        tracing::warn!("the database is read-only: every write is answered with 503 until it is not");
    }
    Ok(())
}

/// Returns the versions of pending migrations. Refuses a schema with unknown migrations: it belongs to a newer version,
/// whose data this one would damage.
fn pending(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let known: Vec<String> = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(migration_error)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = applied(connection)?;
    match applied.iter().find(|version| !known.contains(version)) {
        None => Ok(known.into_iter().filter(|version| !applied.contains(version)).collect()),
        Some(version) => {
            Err(StoreError::Misuse(format!("the schema is newer than this version: it has migration {version}")))
        }
    }
}

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => StoreError::Database(*error),
        Err(error) => StoreError::Migration(error),
    }
}
