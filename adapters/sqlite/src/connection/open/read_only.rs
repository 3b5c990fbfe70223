//! Opens files that this process may not write, in folders where it may not create files.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::{establish, open as open_usual};
use crate::connection::settings::SqliteSettings;
use crate::sql::error::SqliteError;
use crate::sql::statement::Statement;

/// The cheapest statement that opens the file and its write-ahead log.
const PROBE: &str = "SELECT count(*) FROM sqlite_schema";

/// Opens a connection for reads.
///
/// A reader creates the shared memory of the write-ahead log, and fails in a read-only folder. Without a log the file
/// alone is the whole database: it is then opened as immutable (<https://sqlite.org/uri.html#uriimmutable>).
pub(super) fn open(settings: &SqliteSettings) -> Result<SqliteConnection, SqliteError> {
    let mut db = open_usual(settings)?;
    let Err(error) = probe(&mut db, &settings.path) else { return Ok(db) };
    if has_log(&settings.path) {
        return Err(error);
    }
    let opened = establish(settings, |path| format!("file:{}?immutable=1", escape(path)));
    match opened.and_then(|mut db| probe(&mut db, &settings.path).map(|()| db)) {
        Ok(db) => Ok(db),
        Err(_immutable) => Err(error),
    }
}

fn probe(db: &mut SqliteConnection, path: &Path) -> Result<(), SqliteError> {
    let tables: QueryResult<i64> = Statement::<BigInt, 0>::new(PROBE, []).get_result(db);
    tables.map(drop).map_err(|error| SqliteError::of(path, error))
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).metadata().is_ok_and(|log| log.len() > 0)
}

/// Escapes the characters that end the path of a URI.
fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
