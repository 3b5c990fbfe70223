//! Finds out whether a record can be written: writes one and deletes it, in one transaction that is committed.
//!
//! A trigger that raises, a read-only file and a full disk fail it, as they fail commits. It is committed, because SQLite
//! does not write to the disk before.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::sql::error::StoreError;
use crate::write::writer::transaction;

/// The position of the record is the next one, which stays free.
const WRITE: &str = "
    INSERT INTO records (record_id, time, source_id, destination_id, type, value, unit, reference, sequence, processed_at)
        VALUES ('tallyhouse-ping-' || hex(randomblob(16)), 0, 'x', 'x', 'positive', '1', 'x', '', 1, 0);
    INSERT INTO outbox (first, last, nonce, processed_at)
        VALUES (last_insert_rowid(), last_insert_rowid(), 0, 0);
    DELETE FROM records WHERE position = last_insert_rowid();
    DELETE FROM outbox WHERE first = last_insert_rowid();";

/// Writes a record, and deletes it.
pub(crate) fn ping_write(db: &mut SqliteConnection) -> Result<(), StoreError> {
    transaction(db, |db| Ok(db.batch_execute(WRITE)?))
}
