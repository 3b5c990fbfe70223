//! The one connection that writes.

use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tokio::sync::Mutex;

use crate::connection::{open_writer, reopen};
use crate::error::Failure;
use crate::settings::SqliteSettings;

/// The one connection that writes: SQLite lets one transaction write at a time, so that more of them would only wait,
/// and not in turn.
#[derive(Clone)]
pub(crate) struct Writer {
    settings: Arc<SqliteSettings>,
    /// None after a failure: the next one to write opens it anew, in case the cause lay with it.
    connection: Arc<Mutex<Option<SqliteConnection>>>,
}

impl Writer {
    pub(crate) fn new(settings: Arc<SqliteSettings>, connection: SqliteConnection) -> Self {
        Self { settings, connection: Arc::new(Mutex::new(Some(connection))) }
    }

    /// Says whether nobody writes now, nor waits to.
    pub(crate) fn is_free(&self) -> bool {
        self.connection.try_lock().is_ok()
    }

    /// Runs work on the connection, in turn and on a thread that may block. It is done to its end once it has begun,
    /// even if the caller goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        let settings = Arc::clone(&self.settings);
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            // Taken out, so that a panic leaves none behind.
            let mut db = match connection.take() {
                Some(db) => db,
                None => reopen(&settings, open_writer)?,
            };
            let result = work(&mut db);
            if result.as_ref().err().is_none_or(|failure| failure.kind() == PortErrorKind::Refused) && is_idle(&mut db)
            {
                *connection = Some(db);
            }
            result
        });
        task.await.unwrap_or_else(|error| Err(Failure::BrokenOff(error))).map_err(|failure| failure.into_port(what))
    }
}

/// Runs work in a transaction that has the write lock from the beginning. An error undoes all of it.
pub(crate) fn transaction<T>(
    db: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut cause = None;
    let result = db.immediate_transaction(|db| {
        work(db).map_err(|failure| {
            cause = Some(failure);
            DieselError::RollbackTransaction
        })
    });
    // Where SQLite has rolled back by itself, e.g. on a full disk, Diesel's own try fails and would hide the cause.
    result.map_err(|error| cause.unwrap_or(Failure::Database(error)))
}

/// Says whether no transaction is left open on the connection.
fn is_idle(db: &mut SqliteConnection) -> bool {
    match AnsiTransactionManager::transaction_manager_status_mut(db) {
        TransactionManagerStatus::Valid(status) => status.transaction_depth().is_none(),
        TransactionManagerStatus::InError => false,
    }
}

#[cfg(test)]
mod tests;
