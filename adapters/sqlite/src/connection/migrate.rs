//! Brings the tables up to date, and says whether they are.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness;
use tallyhouse_migrations::SQLITE as MIGRATIONS;

use crate::sql::error::{SqliteError, SqliteProblem};
use crate::sql::statement::Statement;

const HAS_VERSIONS: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '__diesel_schema_migrations'";
const VERSIONS: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version";

/// Applies the migrations that are missing, all or none, and returns their versions. The write lock comes first, so
/// that of two processes at once the later one finds nothing left to do.
pub(crate) fn migrate(db: &mut SqliteConnection, path: &Path) -> Result<Vec<String>, SqliteError> {
    let known = known(path)?;
    let mut cause = None;
    let applied = db.immediate_transaction(|db| {
        apply(db, path, &known).map_err(|error| {
            cause = Some(error);
            diesel::result::Error::RollbackTransaction
        })
    });
    applied.map_err(|error| cause.unwrap_or_else(|| SqliteError::of(path, error)))
}

/// Says whether the tables are those of this version, and changes nothing.
pub(crate) fn check(db: &mut SqliteConnection, path: &Path) -> Result<(), SqliteError> {
    let (known, applied) = (known(path)?, applied(db, path)?);
    refuse_newer(path, &known, &applied)?;
    if known.is_subset(&applied) { Ok(()) } else { Err(SqliteError::new(path, SqliteProblem::NotMigrated)) }
}

fn apply(db: &mut SqliteConnection, path: &Path, known: &BTreeSet<String>) -> Result<Vec<String>, SqliteError> {
    refuse_newer(path, known, &applied(db, path)?)?;
    let failing = |error| SqliteError::caused(path, SqliteProblem::Failing, error);
    let pending: Vec<Box<dyn Migration<Sqlite>>> = db.pending_migrations(MIGRATIONS).map_err(failing)?;
    let versions = pending.iter().map(|migration| migration.name().version().to_string()).collect();
    for migration in &pending {
        db.run_migration(migration).map_err(failing)?;
    }
    Ok(versions)
}

fn known(path: &Path) -> Result<BTreeSet<String>, SqliteError> {
    let migrations: Vec<Box<dyn Migration<Sqlite>>> =
        MIGRATIONS.migrations().map_err(|error| SqliteError::caused(path, SqliteProblem::Failing, error))?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn applied(db: &mut SqliteConnection, path: &Path) -> Result<BTreeSet<String>, SqliteError> {
    let of = |error| SqliteError::of(path, error);
    let tables: i64 = Statement::<BigInt, 0>::new(HAS_VERSIONS, []).get_result(db).map_err(of)?;
    if tables == 0 {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<String> = Statement::<Text, 0>::new(VERSIONS, []).load(db).map_err(of)?;
    Ok(versions.into_iter().collect())
}

fn refuse_newer(path: &Path, known: &BTreeSet<String>, applied: &BTreeSet<String>) -> Result<(), SqliteError> {
    match applied.difference(known).last() {
        Some(newer) => Err(SqliteError::new(path, SqliteProblem::Newer(newer.clone()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
