//! The page at `GET /metrics`: the counters of the pipeline and of the server, and figures polled from the database, Redis
//! and the system. docs/METRICS.md lists every family.
//!
//! Counters are read from memory. Polls have a deadline and are cached, so that frequent scrapes load no dependency. A
//! figure that could not be polled has no sample.

mod cached_poll;
mod families;
mod page;
mod process;

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{Backlog, Clock, PortError, Store};
use tallyhouse_pipeline::{BreakerState, Pipeline};

use async_trait::async_trait;
use tallyhouse_http::{KeyRing, MetricsPage, ServerReadings, TlsIdentity};
use tallyhouse_postgres::PostgresRepository;
use tallyhouse_redis::{QueueFigures, RedisClient};

use crate::database::Database;
use crate::settings::Settings;
use crate::telemetry::logging;
use cached_poll::CachedPoll;
use page::Page;
use tallyhouse_pipeline::TokioClock;

/// The deadline of a poll. By default Prometheus gives up on a scrape after ten seconds.
const POLL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a polled figure is shown: less than the usual interval between scrapes.
const FRESH_FOR: Duration = Duration::from_secs(4);

/// Writes the page.
#[derive(Debug)]
pub(crate) struct Metrics {
    pipeline: Pipeline,
    repository: Repository,
    postgres: Option<PostgresRepository>,
    redis: Option<RedisClient>,
    files: ReloadedFiles,
    /// `sqlite` or `postgres`.
    database: &'static str,
    backlog: CachedPoll<Backlog>,
    queues: CachedPoll<QueueFigures>,
}

/// The files that are reloaded when they change.
#[derive(Debug)]
pub(crate) struct ReloadedFiles {
    /// The API keys.
    pub(crate) keys: Option<Arc<KeyRing>>,
    /// The certificate and its key.
    pub(crate) identity: Option<Arc<TlsIdentity>>,
}

/// The repository. The port does not require `Debug`.
struct Repository(Arc<dyn Store>);

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repository")
    }
}

impl Metrics {
    /// Makes the page of a service with these parts.
    pub(crate) fn new(
        pipeline: Pipeline,
        database: &Database,
        redis: Option<RedisClient>,
        files: ReloadedFiles,
        settings: &Settings,
    ) -> Self {
        Self {
            pipeline,
            repository: Repository(database.store.clone()),
            postgres: database.postgres.clone(),
            redis,
            files,
            database: settings.database.kind(),
            backlog: CachedPoll::new(POLL_TIMEOUT, FRESH_FOR),
            queues: CachedPoll::new(POLL_TIMEOUT, FRESH_FOR),
        }
    }

    async fn backlog(&self) -> Option<Backlog> {
        self.poll(&self.backlog, "storage", self.repository.0.backlog()).await
    }

    async fn queues(&self) -> Option<QueueFigures> {
        let redis = self.redis.as_ref()?;
        self.poll(&self.queues, "queue-list", redis.queues()).await
    }

    /// Polls a dependency, unless its circuit breaker is open: then it would not answer.
    async fn poll<T: Copy>(
        &self,
        cached: &CachedPoll<T>,
        breaker: &str,
        poll: impl Future<Output = Result<T, PortError>>,
    ) -> Option<T> {
        let breakers = self.pipeline.breakers().all();
        let is_open = breakers.iter().any(|known| known.name() == breaker && known.state() == BreakerState::Open);
        if is_open { None } else { cached.read(poll).await }
    }
}

#[async_trait]
impl MetricsPage for Metrics {
    async fn write(&self, server: ServerReadings) -> String {
        let (backlog, queues) = tokio::join!(self.backlog(), self.queues());
        let mut page = Page::default();
        families::build(&mut page, self.database);
        families::pipeline(&mut page, &self.pipeline.readings());
        families::breakers(&mut page, &self.pipeline.breakers().all());
        if let Some(backlog) = backlog {
            families::outbox(&mut page, &backlog, TokioClock::start().now());
        }
        if let Some(queues) = queues {
            families::queues(&mut page, &queues);
        }
        if let Some(postgres) = &self.postgres {
            families::pools(&mut page, &postgres.pools());
            families::commits(&mut page, &postgres.commits());
        }
        families::server(&mut page, &server);
        families::log(&mut page, logging::lost_lines());
        let keys = self.files.keys.as_ref().is_some_and(|keys| keys.reload_fails());
        let tls = self.files.identity.as_ref().is_some_and(|identity| identity.reload_fails());
        families::reloads(&mut page, keys, tls);
        if let Some(process) = process::read() {
            families::process(&mut page, &process);
        }
        page.write()
    }
}
