//! Reads the applied migrations without write access.
//!
//! Diesel's own query creates its table first, which fails for a role that may only read.

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Bool, Text};

use crate::sql::error::StoreError;
use crate::sql::statement::Statement;

const HAS_VERSIONS: &str = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL";
const VERSIONS: &str = "SELECT version::text FROM __diesel_schema_migrations ORDER BY version";

/// Returns the versions of the applied migrations; none where the database is empty.
pub(super) fn applied(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let exists: bool = Statement::<Bool>::new(HAS_VERSIONS).get_result(connection)?;
    if !exists {
        return Ok(Vec::new());
    }
    Ok(Statement::<Text>::new(VERSIONS).load(connection)?)
}
