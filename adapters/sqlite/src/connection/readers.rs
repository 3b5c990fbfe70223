//! The connections that read. With a write-ahead log they never wait for the writer, nor it for them.

use std::sync::Arc;

use diesel::prelude::*;
use futures::future::{Either, select};
use tallyhouse_core::ports::{Clock, PartStream, PortError, PortErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::blocking_stream::{self, Parts, Stop};
use crate::connection::file_identity::DatabaseFiles;
use crate::connection::open::open_reader;
use crate::connection::settings::SqliteSettings;
use crate::sql::error::{SqliteError, SqliteProblem, StoreError};

/// Connections for the service's own reads.
const UPKEEP: u32 = 1;

/// A pool of connections that read.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: r2d2::Pool<OpenReaders>,
    /// Short reads and streams have permits of their own: a slow client occupies a stream for long, and must not keep
    /// short reads waiting. All permits together are as many as the connections, so the pool never waits.
    short_reads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// The service's own reads, on which its commits and its lease depend, do not wait for clients.
    upkeep: Arc<Semaphore>,
    settings: Arc<SqliteSettings>,
    files: Arc<DatabaseFiles>,
    clock: Arc<dyn Clock>,
}

impl Readers {
    pub(crate) fn new(settings: Arc<SqliteSettings>, files: Arc<DatabaseFiles>, clock: Arc<dyn Clock>) -> Self {
        let (short_reads, streams) = (settings.readers.max(1), settings.streams.max(1));
        let pool = r2d2::Pool::builder()
            .max_size(short_reads + streams + UPKEEP)
            .min_idle(Some(0))
            .test_on_check_out(true)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(settings.reader_wait)
            .build_unchecked(OpenReaders { settings: Arc::clone(&settings), files: Arc::clone(&files) });
        let permits = |n: u32| Arc::new(Semaphore::new(usize::try_from(n).unwrap_or(Semaphore::MAX_PERMITS)));
        Self {
            pool,
            short_reads: permits(short_reads),
            streams: permits(streams),
            upkeep: permits(UPKEEP),
            settings,
            files,
            clock,
        }
    }

    /// Runs a short read on a blocking thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in(&self.short_reads, what, work).await
    }

    /// Runs a read of the service itself, as [`Readers::run`] does those of clients.
    pub(crate) async fn run_upkeep<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in(&self.upkeep, what, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        let permit = self.permit(permits).await.map_err(|error| error.into_port(what))?;
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            with_reader(&pool, work, |error| error.kind() == PortErrorKind::Refused)
        });
        task.await.unwrap_or_else(|error| Err(StoreError::TaskFailed(error))).map_err(|error| error.into_port(what))
    }

    /// Streams an answer from a blocking thread until the stream is dropped.
    pub(crate) async fn stream<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection, &Parts<T>) -> Result<(), Stop> + Send + 'static,
    ) -> Result<PartStream<T>, PortError> {
        let permit = self.permit(&self.streams).await.map_err(|error| error.into_port(what))?;
        let pool = self.pool.clone();
        let (parts, stream) = blocking_stream::channel(what);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let result = with_reader(&pool, |db| work(db, &parts), |stop| matches!(stop, Stop::Dropped));
            parts.end(result, what);
        });
        Ok(stream)
    }

    async fn permit(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
        // Checked at once: the pool would try to open another connection for as long as it waits for one.
        self.files.check()?;
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let late = self.clock.sleep(self.settings.reader_wait);
        match select(Box::pin(Arc::clone(permits).acquire_owned()), late).await {
            Either::Left((Ok(permit), _)) => Ok(permit),
            // The semaphore is never closed.
            Either::Left((Err(_), _)) | Either::Right(_) => Err(StoreError::Busy),
        }
    }
}

/// Runs work on a connection of the pool. The connection is closed after a panic, and after an error unless
/// `keeps_connection` says otherwise.
fn with_reader<T, E: From<StoreError>>(
    pool: &r2d2::Pool<OpenReaders>,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, E>,
    keeps_connection: impl FnOnce(&E) -> bool,
) -> Result<T, E> {
    let mut reader = pool.get().map_err(StoreError::Pool)?;
    reader.broken = true;
    let result = work(&mut reader.db);
    reader.broken = result.as_ref().err().is_some_and(|error| !keeps_connection(error));
    result
}

/// Opens the connections of the pool for r2d2.
struct OpenReaders {
    settings: Arc<SqliteSettings>,
    files: Arc<DatabaseFiles>,
}

/// A connection of the pool.
struct Reader {
    db: SqliteConnection,
    broken: bool,
    /// The generation of the files when it was opened.
    generation: u64,
}

impl r2d2::ManageConnection for OpenReaders {
    type Connection = Reader;
    type Error = SqliteError;

    fn connect(&self) -> Result<Reader, SqliteError> {
        self.files.check()?;
        let generation = self.files.generation();
        Ok(Reader { db: open_reader(&self.settings)?, broken: false, generation })
    }

    /// Costs three looks at the file system, and no statement.
    fn is_valid(&self, reader: &mut Reader) -> Result<(), SqliteError> {
        self.files.check()?;
        if reader.generation == self.files.generation() {
            return Ok(());
        }
        Err(SqliteError::new(&self.settings.path, SqliteProblem::Replaced))
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.broken
    }
}

#[cfg(test)]
mod tests;
