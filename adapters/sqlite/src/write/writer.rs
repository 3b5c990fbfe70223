//! The one connection that writes.

use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tokio::sync::Mutex;

use crate::connection::file_identity::DatabaseFiles;
use crate::connection::open::{open_writer, reopen};
use crate::connection::settings::SqliteSettings;
use crate::sql::error::StoreError;
use crate::write::commit_cache::CommitCache;

/// The one connection that writes. SQLite lets one transaction write at a time; further connections would only wait,
/// and not in order.
#[derive(Clone)]
pub(crate) struct Writer {
    settings: Arc<SqliteSettings>,
    files: Arc<DatabaseFiles>,
    /// `None` after a failure: the next work opens a new connection, in case the old one was the cause.
    session: Arc<Mutex<Option<Session>>>,
    cache: CommitCache,
}

/// The connection, with the cached state of the database.
pub(crate) struct Session {
    pub(crate) db: SqliteConnection,
    pub(crate) cache: CommitCache,
    /// SQLite's `data_version`, which changes when another connection has written; `None` before the first commit.
    pub(crate) data_version: Option<i64>,
}

impl Session {
    pub(crate) fn new(db: SqliteConnection, cache: CommitCache) -> Self {
        Self { db, cache, data_version: None }
    }
}

impl Writer {
    /// Takes a connection that [`DatabaseFiles::open`] has opened.
    pub(crate) fn new(settings: Arc<SqliteSettings>, files: Arc<DatabaseFiles>, connection: SqliteConnection) -> Self {
        let cache = CommitCache::default();
        let session = Session::new(connection, cache.clone());
        Self { settings, files, session: Arc::new(Mutex::new(Some(session))), cache }
    }

    /// Returns the files of the database.
    pub(crate) fn files(&self) -> &Arc<DatabaseFiles> {
        &self.files
    }

    /// Returns the cached state of the database.
    pub(crate) fn cache(&self) -> &CommitCache {
        &self.cache
    }

    /// Says whether no work runs or waits.
    pub(crate) fn is_free(&self) -> bool {
        self.session.try_lock().is_ok()
    }

    /// Runs work on the connection, in order of arrival, on a blocking thread. Work that has begun runs to its end even
    /// if the caller is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in_session(what, |session| work(&mut session.db)).await
    }

    /// Runs work as [`Writer::run`] does, with access to the cached state.
    pub(crate) async fn run_in_session<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (settings, files, cache) = (Arc::clone(&self.settings), Arc::clone(&self.files), self.cache.clone());
        let mut place = Arc::clone(&self.session).lock_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            // Taken out, so that a panic drops it.
            let mut session = match place.take() {
                Some(session) => session,
                None => {
                    let db = files.open(|| reopen(&settings, open_writer))?;
                    Session::new(db, cache)
                }
            };
            // Checked before the work, so that nothing is written to a file that is gone, and after it, so that no such
            // write is acknowledged.
            let checked = files.check().map_err(StoreError::Connection);
            let result = checked.and_then(|()| work(&mut session)).and_then(|done| {
                files.check()?;
                Ok(done)
            });
            let keeps_session = match &result {
                Ok(_) => is_idle(&mut session.db),
                Err(StoreError::Connection(_)) => !files.may_open_anew(),
                Err(error) => error.kind() == PortErrorKind::Refused && is_idle(&mut session.db),
            };
            if keeps_session {
                *place = Some(session);
            } else {
                drop(session);
                files.forget();
            }
            result
        });
        let result = task.await.unwrap_or_else(|error| {
            // The session was dropped with the task.
            self.files.forget();
            Err(StoreError::TaskFailed(error))
        });
        result.map_err(|error| error.into_port(what))
    }
}

/// Runs work in a transaction that takes the write lock first (`BEGIN IMMEDIATE`). An error rolls it back.
pub(crate) fn transaction<T>(
    db: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut cause = None;
    let result = db.immediate_transaction(|db| {
        work(db).map_err(|error| {
            cause = Some(error);
            DieselError::RollbackTransaction
        })
    });
    // If SQLite has rolled back by itself, e.g. on a full disk, Diesel's rollback fails and would hide the cause.
    result.map_err(|error| cause.unwrap_or(StoreError::Database(error)))
}

/// Says whether the connection has no open transaction.
fn is_idle(db: &mut SqliteConnection) -> bool {
    match AnsiTransactionManager::transaction_manager_status_mut(db) {
        TransactionManagerStatus::Valid(status) => status.transaction_depth().is_none(),
        TransactionManagerStatus::InError => false,
    }
}

#[cfg(test)]
mod tests;
