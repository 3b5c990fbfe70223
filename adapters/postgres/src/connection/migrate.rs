//! The schema: made and brought up to date by the migrations that are built in.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness;
use tallyhouse_migrations::POSTGRES as MIGRATIONS;

use crate::connection::settings::PostgresSettings;
use crate::sql::error::Fault;
use crate::sql::statement::Statement;

/// Two instances that start at once migrate one after the other. Any number will do that nobody else takes: "tally".
const LOCK: i64 = 0x0074_616c_6c79;

/// Runs the migrations that are pending, on a connection of its own, without time-outs of the server: the caller has
/// one for all of it; returns their names.
pub(crate) fn migrate(settings: &PostgresSettings) -> Result<Vec<String>, Fault> {
    let mut connection = connect(settings)?;
    check_encoding(&mut connection)?;
    // Session locks end with the session, so that an error below leaves none behind.
    connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    check_not_ahead(&mut connection)?;
    let run = connection.run_pending_migrations(MIGRATIONS).map_err(migration_fault)?;
    let names = run.iter().map(ToString::to_string).collect();
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
    Ok(names)
}

/// Checks that the schema is exactly the one that this version was built for.
pub(crate) fn check(settings: &PostgresSettings) -> Result<(), Fault> {
    let mut connection = connect(settings)?;
    check_encoding(&mut connection)?;
    check_not_ahead(&mut connection)?;
    if connection.has_pending_migration(MIGRATIONS).map_err(migration_fault)? {
        return Err(Fault::Misuse("the schema is older than this version: run the migrations".to_owned()));
    }
    Ok(())
}

fn connect(settings: &PostgresSettings) -> Result<PgConnection, Fault> {
    let mut connection =
        PgConnection::establish(&settings.connection_string()).map_err(|error| Fault::Unreachable(Box::new(error)))?;
    connection.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning")?;
    Ok(connection)
}

/// Other encodings refuse characters that records may have, and a good record would be blamed for it.
fn check_encoding(connection: &mut PgConnection) -> Result<(), Fault> {
    let encoding: String =
        Statement::<Text>::new("SELECT current_setting('server_encoding')").get_result(connection)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Fault::Misuse(format!("the database is in {encoding}; it must be created with ENCODING 'UTF8'")))
}

/// A schema with migrations that this version does not know belongs to a newer one, whose data it would spoil.
fn check_not_ahead(connection: &mut PgConnection) -> Result<(), Fault> {
    let known: Vec<String> = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(migration_fault)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = connection.applied_migrations().map_err(migration_fault)?;
    match applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        None => Ok(()),
        Some(version) => {
            Err(Fault::Misuse(format!("the schema is newer than this version: it has migration {version}")))
        }
    }
}

fn migration_fault(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => Fault::Database(*error),
        Err(error) => Fault::Migration(error),
    }
}
