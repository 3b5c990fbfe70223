//! The connections that read, beside the writer and never in its way.

use std::sync::Arc;

use diesel::prelude::*;
use futures::future::{Either, select};
use tallyhouse_core::ports::{Clock, PartStream, PortError, PortErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::open::open_reader;
use crate::connection::settings::SqliteSettings;
use crate::connection::stream::{self, Parts, Stop};
use crate::sql::error::{Failure, SqliteError};

/// Connections for the service's own questions.
const UPKEEP: u32 = 1;

/// A pool of connections that read.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: r2d2::Pool<OpenReaders>,
    /// Questions and streams have turns of their own: clients that read slowly keep streams for long, and must not keep
    /// the short questions out. Together they are as many as the pool has connections, so that the pool never waits.
    questions: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// The service's own questions, on which its commits and its lease depend, wait for no client's.
    upkeep: Arc<Semaphore>,
    settings: Arc<SqliteSettings>,
    clock: Arc<dyn Clock>,
}

impl Readers {
    pub(crate) fn new(settings: Arc<SqliteSettings>, clock: Arc<dyn Clock>) -> Self {
        let (questions, streams) = (settings.readers.max(1), settings.streams.max(1));
        let pool = r2d2::Pool::builder()
            .max_size(questions + streams + UPKEEP)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(settings.reader_wait)
            .build_unchecked(OpenReaders(Arc::clone(&settings)));
        let turns = |n: u32| Arc::new(Semaphore::new(usize::try_from(n).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { pool, questions: turns(questions), streams: turns(streams), upkeep: turns(UPKEEP), settings, clock }
    }

    /// Answers a question on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in(&self.questions, what, work).await
    }

    /// Answers a question of the service itself, as [`Readers::run`] does those of its clients.
    pub(crate) async fn run_upkeep<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        self.run_in(&self.upkeep, what, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, PortError> {
        let turn = self.turn(turns).await.map_err(|failure| failure.into_port(what))?;
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            lend(&pool, work, |failure| failure.kind() == PortErrorKind::Refused)
        });
        task.await.unwrap_or_else(|error| Err(Failure::BrokenOff(error))).map_err(|failure| failure.into_port(what))
    }

    /// Streams an answer from a thread that may block, as long as somebody listens.
    pub(crate) async fn stream<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection, &Parts<T>) -> Result<(), Stop> + Send + 'static,
    ) -> Result<PartStream<T>, PortError> {
        let turn = self.turn(&self.streams).await.map_err(|failure| failure.into_port(what))?;
        let pool = self.pool.clone();
        let (parts, stream) = stream::channel(what);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let result = lend(&pool, |db| work(db, &parts), |stop| matches!(stop, Stop::Gone));
            parts.end(result, what);
        });
        Ok(stream)
    }

    async fn turn(&self, turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Ok(turn);
        }
        let late = self.clock.sleep(self.settings.reader_wait);
        match select(Box::pin(Arc::clone(turns).acquire_owned()), late).await {
            Either::Left((Ok(turn), _)) => Ok(turn),
            // Nobody closes the semaphore; if it were closed, there would be no turn either.
            Either::Left((Err(_), _)) | Either::Right(_) => Err(Failure::Busy),
        }
    }
}

/// Lends a connection of the pool, which is thrown away after an error that does not say otherwise, and after a panic.
fn lend<T, E: From<Failure>>(
    pool: &r2d2::Pool<OpenReaders>,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, E>,
    spares: impl FnOnce(&E) -> bool,
) -> Result<T, E> {
    let mut reader = pool.get().map_err(Failure::Pool)?;
    reader.broken = true;
    let result = work(&mut reader.db);
    reader.broken = result.as_ref().err().is_some_and(|error| !spares(error));
    result
}

/// Opens the connections of the pool.
struct OpenReaders(Arc<SqliteSettings>);

/// A connection of the pool.
struct Reader {
    db: SqliteConnection,
    broken: bool,
}

impl r2d2::ManageConnection for OpenReaders {
    type Connection = Reader;
    type Error = SqliteError;

    fn connect(&self) -> Result<Reader, SqliteError> {
        Ok(Reader { db: open_reader(&self.0)?, broken: false })
    }

    fn is_valid(&self, _: &mut Reader) -> Result<(), SqliteError> {
        Ok(())
    }

    fn has_broken(&self, reader: &mut Reader) -> bool {
        reader.broken
    }
}

#[cfg(test)]
mod tests;
