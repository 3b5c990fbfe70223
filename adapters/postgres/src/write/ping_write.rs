//! Finds out whether a record can be written: writes one by the statement of every commit, and rolls back.
//!
//! A trigger that raises, a missing right, a read-only server and a full disk fail it, as they fail commits. A failure
//! of COMMIT alone is not found, since no COMMIT is sent: it would wait for ever for a missing synchronous standby.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::result::Error as DieselError;

use crate::sql::error::StoreError;

/// Bounds the wait for locks, so that an attempt ends before the next one begins.
const TIMEOUTS: &str = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '1s'";

/// Writes a record under a key of its own. Constraints and triggers that are deferred to the COMMIT run at once.
const WRITE: &str = "SELECT write_plan(ARRAY[x.id], ARRAY[now()], ARRAY['tallyhouse'], ARRAY[x.id], ARRAY[true], \
     ARRAY['1'], ARRAY['1'], ARRAY[''], ARRAY[1::bigint], ARRAY[NULL::text], ARRAY[NULL::text], ARRAY[NULL::text], \
     ARRAY[0::bigint], now(), ARRAY[x.id], ARRAY[''], ARRAY[NULL::text], ARRAY['[]'], '{}', '{}', '{}', '{}', NULL, NULL, \
     0, NULL) FROM (SELECT 'tallyhouse-ping-' || gen_random_uuid() AS id) x; SET CONSTRAINTS ALL IMMEDIATE";

/// Writes a record, and rolls back.
pub(crate) fn ping_write(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut written = Ok(());
    let ended = connection.transaction(|connection| {
        written = connection.batch_execute(TIMEOUTS).and_then(|()| connection.batch_execute(WRITE));
        Err::<(), _>(DieselError::RollbackTransaction)
    });
    written?;
    match ended {
        Ok(()) | Err(DieselError::RollbackTransaction) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
