//! Detects poolers that share sessions, e.g. PgBouncer in transaction mode.
//!
//! A pooler in transaction mode gives each transaction any free server connection. Sessions then leak into each other:
//! prepared statements are missing or taken, and `synchronous_commit` has the value that the last client set. Such
//! faults show late, and under load, so they are checked at the start: one connection sets a mark, which must stay
//! with it, and which another connection must not see. All statements here are simple queries, since prepared ones may
//! fail behind a pooler.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::result::Error as DieselError;

use crate::connection::pool::writer_setup;
use crate::connection::settings::PostgresSettings;
use crate::sql::error::StoreError;

/// Rounds of the check. A shared pooler that serves other clients, too, may pass a single round by chance.
const ROUNDS: u32 = 3;

/// The messages of the errors that the checks raise. They are ours, so no server translates them.
const SHARED: &str = "tallyhouse: the session is shared";
const UNSET: &str = "tallyhouse: a setting of the session is lost";

/// Checks that connections have sessions of their own, and that a session which commits has the settings on which
/// durability depends.
pub(super) fn check(settings: &PostgresSettings, connection: &mut PgConnection) -> Result<(), StoreError> {
    let mark =
        getrandom::u64().map_err(|error| StoreError::Misuse(format!("the system has no random numbers: {error}")))?;
    let mut other = PgConnection::establish(&settings.connection_string())
        .map_err(|error| StoreError::Unreachable(Box::new(error)))?;
    check_apart(connection, &mut other, mark).map_err(session_error)?;
    other.batch_execute(&writer_setup(settings)).map_err(session_error)?;
    other.batch_execute(&raise_if(IS_UNSAFE, UNSET)).map_err(session_error)
}

/// The settings that a session which commits must not have: see `writer_setup`.
const IS_UNSAFE: &str = "current_setting('synchronous_commit') <> 'on' \
     OR current_setting('default_transaction_isolation') <> 'read committed'";

fn check_apart(connection: &mut PgConnection, other: &mut PgConnection, mark: u64) -> Result<(), DieselError> {
    let has_mark = format!("coalesce(current_setting('tallyhouse.session', true), '') = '{mark}'");
    connection.batch_execute(&format!("SET tallyhouse.session = '{mark}'"))?;
    // In statement mode, BEGIN would end the connection silently.
    other.batch_execute(&raise_if(&has_mark, SHARED))?;
    for _ in 0..ROUNDS {
        // The open transaction keeps its server connection, so that the next query gets another one.
        other.batch_execute(&format!("BEGIN; {}", raise_if(&has_mark, SHARED)))?;
        connection.batch_execute(&raise_if(&format!("NOT ({has_mark})"), SHARED))?;
        other.batch_execute("COMMIT")?;
    }
    Ok(())
}

fn raise_if(condition: &str, message: &str) -> String {
    format!("DO $$ BEGIN IF {condition} THEN RAISE EXCEPTION '{message}'; END IF; END $$")
}

fn session_error(error: DieselError) -> StoreError {
    const POOLED: &str = "it is reached through a pooler that hands out sessions per transaction or statement \
         (PgBouncer: pool_mode = transaction, statement), which is not supported: use pool_mode = session, or the \
         address of the database itself";
    let DieselError::DatabaseError(_, details) = &error else { return error.into() };
    match details.message() {
        SHARED => StoreError::Misuse(POOLED.to_owned()),
        UNSET => {
            let unset = "its sessions keep neither synchronous_commit = on nor the isolation read committed: look for a \
                 pooler or proxy that changes SET";
            StoreError::Misuse(unset.to_owned())
        }
        _ => error.into(),
    }
}
