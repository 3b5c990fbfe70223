//! Four pools of connections, so that neither a slow client nor a burst of reads delays commits or lets the lease lapse.
//! Each pool is behind a semaphore, so that waiting takes no thread.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, ConnectionError};
use r2d2::{ManageConnection, NopErrorHandler};
use tallyhouse_core::ports::PortError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::connection::address::check_url;
use crate::connection::settings::PostgresSettings;
use crate::sql::error::StoreError;

/// Idle time after which a connection for commits is tested before use. Testing every time would cost a round trip for
/// each commit.
const TEST_WRITERS_AFTER: Duration = Duration::from_secs(1);

/// Idle time after which any other connection is tested before use. The pool repeats their work if the connection was
/// cut.
const TEST_READERS_AFTER: Duration = Duration::from_secs(60);

/// Time beyond the server's own time-outs after which the server counts as not answering.
const GRACE: Duration = Duration::from_secs(5);

/// Connections for upkeep: one may wait for a lock while the other works.
const UPKEEP: u32 = 2;

/// A pool of connections of one kind.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: r2d2::Pool<Manager>,
    permits: Arc<Semaphore>,
    acquire_timeout: Duration,
    answer_timeout: Duration,
}

/// The pools.
#[derive(Clone)]
pub(crate) struct Pools {
    /// For commits.
    pub(crate) writers: Pool,
    /// For short reads.
    pub(crate) readers: Pool,
    /// For streamed answers.
    pub(crate) streams: Pool,
    /// For the service's own statements, which must not wait for clients: pings, the outbox, the lease, roll-ups, and the
    /// cancelling of dropped streams.
    pub(crate) upkeep: Pool,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl Pools {
    /// Creates the pools without connecting, so that a service can start before its database.
    pub(crate) fn new(settings: &PostgresSettings) -> Self {
        Self {
            writers: Pool::for_writers(settings),
            readers: Pool::new(settings, settings.readers, settings.read_timeout, reader_setup(settings.read_timeout)),
            streams: Pool::new(
                settings,
                settings.streams,
                settings.stream_timeout,
                reader_setup(settings.stream_timeout),
            ),
            upkeep: Pool::new(settings, UPKEEP, settings.write_timeout, upkeep_setup(settings)),
        }
    }
}

impl Pool {
    fn new(settings: &PostgresSettings, size: u32, statement_timeout: Duration, setup: String) -> Self {
        let manager = Manager { url: settings.connection_string(), setup, test_after: TEST_READERS_AFTER };
        Self::of(manager, size, settings, statement_timeout)
    }

    /// A pool for commits.
    fn for_writers(settings: &PostgresSettings) -> Self {
        let setup = writer_setup(settings);
        let manager = Manager { url: settings.connection_string(), setup, test_after: TEST_WRITERS_AFTER };
        Self::of(manager, settings.writers, settings, settings.write_timeout)
    }

    fn of(manager: Manager, size: u32, settings: &PostgresSettings, statement_timeout: Duration) -> Self {
        let size = size.max(1);
        let connections = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(settings.acquire_timeout)
            // The caller that waits for the connection gets the error, and logs it once.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self {
            connections,
            permits: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX))),
            acquire_timeout: settings.acquire_timeout,
            answer_timeout: settings.acquire_timeout + statement_timeout + GRACE,
        }
    }

    /// Returns the size of the pool, and how many of its connections are in use.
    pub(crate) fn usage(&self) -> (u32, u32) {
        let size = self.connections.max_size();
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        (size, size.saturating_sub(free))
    }

    /// Waits for the permit to take a connection.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        permit.map_err(|_| StoreError::PoolBusy)?.map_err(|_| StoreError::PoolBusy)
    }

    /// Runs work on a connection. Blocks. The caller must hold a permit.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pooled = self.connections.get()?;
        let result = work(&mut pooled.connection);
        pooled.broken = result.as_ref().is_err_and(StoreError::breaks_connection);
        result
    }

    /// Runs work on a connection, and repeats it on another one if the connection was cut. A restart of the server cuts
    /// every idle connection of the pool.
    pub(crate) fn with_any<T>(
        &self,
        mut work: impl FnMut(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..self.connections.max_size() {
            match self.with(&mut work) {
                Err(error) if error.is_disconnected() => {}
                done => return done,
            }
        }
        self.with(work)
    }

    /// Returns the time after which the server counts as not answering.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Runs blocking work on a connection. `what` names the operation in the words of the port.
    ///
    /// If the connection was cut, the work is repeated on another one; it must be safe to repeat. If the server does not
    /// answer at all, the caller gets an error, and the work keeps its connection and its permit until it ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        let pool = self.clone();
        self.blocking(what, move || pool.with_any(work)).await
    }

    /// Runs blocking work as [`Pool::run`] does, without repeating it.
    pub(crate) async fn run_once<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        let pool = self.clone();
        self.blocking(what, move || pool.with(work)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PortError> {
        let permit = self.permit().await.map_err(|error| error.into_port(what))?;
        let task = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match timeout(self.answer_timeout, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(panicked)) => Err(StoreError::Misuse(panicked.to_string())),
            Err(_) => Err(StoreError::NoAnswer),
        }
        .map_err(|error| error.into_port(what))
    }
}

/// Returns the settings of a session that commits.
///
/// - `synchronous_commit`: an acknowledged commit is durable, independent of the server's setting.
/// - Isolation: after a wait for a lock, the next statement must see the commit of the other transaction.
/// - `idle_in_transaction_session_timeout`: an instance that is stopped during a commit, by a debugger or its host, must
///   not keep its keys locked.
/// - Plans: a plan from the time when the tables were empty would keep its sequential scans as they grow, and a plan per
///   statement costs a third of a small batch. So each statement is planned once, and only index scans are left.
pub(super) fn writer_setup(settings: &PostgresSettings) -> String {
    format!(
        "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
         SET enable_mergejoin = off; SET jit = off",
        settings.write_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
        settings.write_timeout.as_millis()
    )
}

/// Returns the settings of a session that reads. Each statement is planned with its values: the best plan depends on
/// the filter and on the size of the tables.
fn reader_setup(statement_timeout: Duration) -> String {
    format!(
        "SET default_transaction_isolation = 'read committed'; SET statement_timeout = {}; \
         SET plan_cache_mode = force_custom_plan; SET jit = off",
        statement_timeout.as_millis()
    )
}

/// Returns the settings of a session for upkeep: short statements, some of which write.
fn upkeep_setup(settings: &PostgresSettings) -> String {
    let lock_timeout = settings.lock_timeout.as_millis();
    format!("{}; SET lock_timeout = {lock_timeout}", reader_setup(settings.write_timeout))
}

/// Opens and tests connections for r2d2.
pub(crate) struct Manager {
    url: String,
    setup: String,
    /// Idle time after which a connection is tested before use.
    test_after: Duration,
}

/// A connection of a pool.
pub(crate) struct PooledConnection {
    /// The connection.
    pub(crate) connection: PgConnection,
    used: Instant,
    /// Whether it must be closed.
    broken: bool,
}

impl ManageConnection for Manager {
    type Connection = PooledConnection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<PooledConnection, ConnectionError> {
        check_url(&self.url).map_err(|error| ConnectionError::InvalidConnectionUrl(format!("the URL {error}")))?;
        let mut connection = PgConnection::establish(&self.url)?;
        connection.batch_execute(&self.setup).map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(PooledConnection { connection, used: Instant::now(), broken: false })
    }

    fn is_valid(&self, pooled: &mut PooledConnection) -> Result<(), ConnectionError> {
        if pooled.used.elapsed() < self.test_after {
            return Ok(());
        }
        pooled.connection.ping().map_err(ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, pooled: &mut PooledConnection) -> bool {
        pooled.used = Instant::now();
        pooled.broken || std::thread::panicking() || pooled.connection.is_broken()
    }
}
