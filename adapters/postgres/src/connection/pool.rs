//! Connections: four pools, so that neither a slow client nor a burst of reads keeps commits waiting, or lets the lease
//! lapse; each behind a semaphore, so that waiting takes no thread.

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
use crate::sql::error::Fault;

/// A connection for commits that was used this recently is handed out untested: testing costs a round trip for each
/// use.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// As much for all other connections. What they are for is done again where one turns out to have been cut.
const READERS_TESTED_AFTER: Duration = Duration::from_secs(60);

/// How long an answer may take beyond the time-outs of the server before the server counts as silent.
const GRACE: Duration = Duration::from_secs(5);

/// Connections of the service's own: one that waits, and one beside it.
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
    /// For answers that are streamed.
    pub(crate) streams: Pool,
    /// For what the service itself asks, whatever its clients read: whether the database answers, who owes what, the
    /// lease; and to cancel what a stream has left.
    pub(crate) upkeep: Pool,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl Pools {
    /// Makes the pools; no connection is made yet, so that a service starts before its database.
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
        let manager = Manager { url: settings.connection_string(), setup, tested_after: READERS_TESTED_AFTER };
        Self::of(manager, size, settings, statement_timeout)
    }

    /// A pool for commits.
    fn for_writers(settings: &PostgresSettings) -> Self {
        let setup = writer_setup(settings);
        let manager = Manager { url: settings.connection_string(), setup, tested_after: TESTED_AFTER };
        Self::of(manager, settings.writers, settings, settings.write_timeout)
    }

    fn of(manager: Manager, size: u32, settings: &PostgresSettings, statement_timeout: Duration) -> Self {
        let size = size.max(1);
        let connections = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(settings.acquire_timeout)
            // Whoever waits for the connection is told why there is none, and says so once.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self {
            connections,
            permits: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX))),
            acquire_timeout: settings.acquire_timeout,
            answer_timeout: settings.acquire_timeout + statement_timeout + GRACE,
        }
    }

    /// Returns how many connections there may be, and how many of them are at work.
    pub(crate) fn usage(&self) -> (u32, u32) {
        let size = self.connections.max_size();
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        (size, size.saturating_sub(free))
    }

    /// Waits for the right to take a connection.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let permit = timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        permit.map_err(|_| Fault::Busy)?.map_err(|_| Fault::Busy)
    }

    /// Does work on a connection. Blocks; only for holders of a permit.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut PgConnection) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut link = self.connections.get()?;
        let result = work(&mut link.connection);
        link.spoilt = result.as_ref().is_err_and(Fault::spoils_connection);
        result
    }

    /// Does work on a connection, again on another one where the connection turns out to have been cut: after a
    /// restart of the server, each one that lies in the pool is found to be, one at a time.
    pub(crate) fn with_any<T>(&self, mut work: impl FnMut(&mut PgConnection) -> Result<T, Fault>) -> Result<T, Fault> {
        for _ in 0..self.connections.max_size() {
            match self.with(&mut work) {
                Err(fault) if fault.is_cut() => {}
                done => return done,
            }
        }
        self.with(work)
    }

    /// Returns how long an answer may take before the server counts as silent.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Runs blocking work on a connection. `what` says in the words of the port what it is for.
    ///
    /// If the connection turns out to have been cut, the work is done again on another one: it must bear that. A
    /// server that is frozen sends nothing at all; then the caller is released, and the work keeps its connection and
    /// its permit until it ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&mut PgConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, PortError> {
        let pool = self.clone();
        self.blocking(what, move || pool.with_any(work)).await
    }

    /// Runs blocking work as [`Pool::run`] does, for work that must not be done twice.
    pub(crate) async fn run_once<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut PgConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, PortError> {
        let pool = self.clone();
        self.blocking(what, move || pool.with(work)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, PortError> {
        let permit = self.permit().await.map_err(|fault| fault.port(what))?;
        let task = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match timeout(self.answer_timeout, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(panicked)) => Err(Fault::Misuse(panicked.to_string())),
            Err(_) => Err(Fault::Silent),
        }
        .map_err(|fault| fault.port(what))
    }
}

/// What a writer's session is like.
///
/// `synchronous_commit`: acknowledged means durable, whatever the server's setting is. The isolation: a statement that
/// commits by itself is to see what it waited for. The plan settings: a statement that was planned while the tables
/// were empty would keep its sequential scan as they grow, and planning afresh each time costs a third of everything at
/// small batches; so the only plan left is the one by index, and it is made once. And an instance that is stopped in
/// the midst of a commit, by a debugger or by its host, must not keep its keys locked.
fn writer_setup(settings: &PostgresSettings) -> String {
    format!(
        "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; \
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
         SET enable_mergejoin = off; SET jit = off",
        settings.write_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
        settings.write_timeout.as_millis()
    )
}

/// What a reader's session is like. Which plan is good depends on the filter's values, and a plan kept from the days
/// when the tables were small would be a bad one: each statement is planned with its values.
fn reader_setup(statement_timeout: Duration) -> String {
    format!(
        "SET statement_timeout = {}; SET plan_cache_mode = force_custom_plan; SET jit = off",
        statement_timeout.as_millis()
    )
}

/// What the session of the service's own questions is like: short statements, some of which write.
fn upkeep_setup(settings: &PostgresSettings) -> String {
    let lock_timeout = settings.lock_timeout.as_millis();
    format!("{}; SET lock_timeout = {lock_timeout}", reader_setup(settings.write_timeout))
}

/// Makes and tests connections for r2d2.
pub(crate) struct Manager {
    url: String,
    setup: String,
    /// For how long a connection may lie in the pool before it is tested.
    tested_after: Duration,
}

/// A connection, and when it was used last.
pub(crate) struct Link {
    /// The connection.
    pub(crate) connection: PgConnection,
    used: Instant,
    /// Whether it is to be thrown away.
    spoilt: bool,
}

impl ManageConnection for Manager {
    type Connection = Link;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Link, ConnectionError> {
        check_url(&self.url).map_err(|fault| ConnectionError::InvalidConnectionUrl(format!("the URL {fault}")))?;
        let mut connection = PgConnection::establish(&self.url)?;
        connection.batch_execute(&self.setup).map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(Link { connection, used: Instant::now(), spoilt: false })
    }

    fn is_valid(&self, link: &mut Link) -> Result<(), ConnectionError> {
        if link.used.elapsed() < self.tested_after {
            return Ok(());
        }
        link.connection.ping().map_err(ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.used = Instant::now();
        link.spoilt || std::thread::panicking() || link.connection.is_broken()
    }
}
