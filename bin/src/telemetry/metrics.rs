//! What `GET /metrics` shows: the counts of the pipeline and of the server, and what Postgres, Redis and the system are
//! asked for. docs/METRICS.md lists it all.
//!
//! The counts are read. What must be asked for is asked within a deadline and kept for a while, so that no number of
//! scrapes is a load; where there is no answer, there is no sample.

mod cached_poll;
mod families;
mod page;
mod process;

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{Backlog, Clock, PortError, Store};
use tallyhouse_pipeline::{BreakerState, Pipeline};

use async_trait::async_trait;
use tallyhouse_http::{MetricsPage, ServerReadings};
use tallyhouse_postgres::PostgresRepository;
use tallyhouse_redis::{QueueFigures, RedisClient};

use crate::clock::SystemClock;
use crate::database::Database;
use crate::settings::Settings;
use cached_poll::CachedPoll;
use page::Page;

/// How long a dependency has for its answer: a scrape waits for ten seconds, by Prometheus' defaults.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer is good: less than the usual time between two scrapes.
const KEPT: Duration = Duration::from_secs(4);

/// The writer of the page.
#[derive(Debug)]
pub(crate) struct Metrics {
    pipeline: Pipeline,
    repository: Repository,
    postgres: Option<PostgresRepository>,
    redis: Option<RedisClient>,
    /// `sqlite` or `postgres`.
    database: &'static str,
    owed: CachedPoll<Backlog>,
    queues: CachedPoll<QueueFigures>,
}

/// The repository, which has no way of its own to be shown.
struct Repository(Arc<dyn Store>);

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repository")
    }
}

impl Metrics {
    /// Makes the page of a service that is made of these parts.
    pub(crate) fn new(pipeline: Pipeline, store: &Database, redis: Option<RedisClient>, settings: &Settings) -> Self {
        Self {
            pipeline,
            repository: Repository(store.store.clone()),
            postgres: store.postgres.clone(),
            redis,
            database: settings.database.kind(),
            owed: CachedPoll::new(PATIENCE, KEPT),
            queues: CachedPoll::new(PATIENCE, KEPT),
        }
    }

    async fn owed(&self) -> Option<Backlog> {
        self.asked(&self.owed, "storage", self.repository.0.backlog()).await
    }

    async fn queues(&self) -> Option<QueueFigures> {
        let redis = self.redis.as_ref()?;
        self.asked(&self.queues, "queue-list", redis.queues()).await
    }

    /// Asks a dependency, unless its circuit breaker knows that it is away.
    async fn asked<T: Copy>(
        &self,
        asked: &CachedPoll<T>,
        breaker: &str,
        question: impl Future<Output = Result<T, PortError>>,
    ) -> Option<T> {
        let breakers = self.pipeline.breakers().all();
        let is_away = breakers.iter().any(|known| known.name() == breaker && known.state() == BreakerState::Open);
        if is_away { None } else { asked.answer(question).await }
    }
}

#[async_trait]
impl MetricsPage for Metrics {
    async fn write(&self, server: ServerReadings) -> String {
        let (owed, queues) = tokio::join!(self.owed(), self.queues());
        let mut page = Page::default();
        families::build(&mut page, self.database);
        families::pipeline(&mut page, &self.pipeline.readings());
        families::breakers(&mut page, &self.pipeline.breakers().all());
        if let Some(owed) = owed {
            families::outbox(&mut page, &owed, SystemClock::start().now());
        }
        if let Some(queues) = queues {
            families::queues(&mut page, &queues);
        }
        if let Some(postgres) = &self.postgres {
            families::pools(&mut page, &postgres.pools());
            families::commits(&mut page, &postgres.commits());
        }
        families::server(&mut page, &server);
        if let Some(process) = process::read() {
            families::process(&mut page, &process);
        }
        page.write()
    }
}
