//! The one connection that writes.

use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tokio::sync::Mutex;

use crate::connection::open::{open_writer, reopen};
use crate::connection::settings::SqliteSettings;
use crate::sql::error::Failure;
use crate::write::pipelined::CommitCache;

/// The one connection that writes: SQLite lets one transaction write at a time, so that more of them would only wait,
/// and not in turn.
#[derive(Clone)]
pub(crate) struct Writer {
    settings: Arc<SqliteSettings>,
    /// None after a failure: the next one to write opens it anew, in case the cause lay with it.
    session: Arc<Mutex<Option<Session>>>,
    cache: CommitCache,
}

/// The connection, with what is remembered of the database.
pub(crate) struct Session {
    pub(crate) db: SqliteConnection,
    pub(crate) cache: CommitCache,
    /// Changes when another connection has written; none before it is known.
    pub(crate) data_version: Option<i64>,
}

impl Session {
    pub(crate) fn new(db: SqliteConnection, cache: CommitCache) -> Self {
        Self { db, cache, data_version: None }
    }
}

impl Writer {
    pub(crate) fn new(settings: Arc<SqliteSettings>, connection: SqliteConnection) -> Self {
        let cache = CommitCache::default();
        let session = Session::new(connection, cache.clone());
        Self { settings, session: Arc::new(Mutex::new(Some(session))), cache }
    }

    /// What is remembered of the database.
    pub(crate) fn cache(&self) -> &CommitCache {
        &self.cache
    }

    /// Says whether nobody writes now, nor waits to.
    pub(crate) fn is_free(&self) -> bool {
        self.session.try_lock().is_ok()
    }

    /// Runs work on the connection, in turn and on a thread that may block. It is done to its end once it has begun,
    /// even if the caller goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in_session(what, |session| work(&mut session.db)).await
    }

    /// Runs work as [`Writer::run`] does, for work that remembers.
    pub(crate) async fn run_in_session<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Session) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        let (settings, cache) = (Arc::clone(&self.settings), self.cache.clone());
        let mut place = Arc::clone(&self.session).lock_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            // Taken out, so that a panic leaves none behind.
            let mut session = match place.take() {
                Some(session) => session,
                None => Session::new(reopen(&settings, open_writer)?, cache),
            };
            let result = work(&mut session);
            let is_fine = |failure: &Failure| failure.kind() == PortErrorKind::Refused;
            if result.as_ref().err().is_none_or(is_fine) && is_idle(&mut session.db) {
                *place = Some(session);
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
