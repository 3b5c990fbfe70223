//! Wires the Redis adapter: queues, emitter, dead letters, health probe.

use std::sync::Arc;
use tallyhouse_pipeline::ports::{Clock, DeadLetters, MessageEmitter, RecordSource, Store};
use tallyhouse_pipeline::{Consumer, MessageFormat, Pipeline};

use async_trait::async_trait;
use tallyhouse_http::{HealthProbe, ProbeState};
use tallyhouse_redis::{
    RedisClient, RedisDeadLetters, RedisEmitter, RedisListSource, RedisSettings, RedisStreamSource,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::settings::{Settings, SettingsError};
use crate::telemetry::traces::Traces;

/// A configured Redis. It need not be reachable.
pub(super) struct Queues {
    client: RedisClient,
    clock: Arc<dyn Clock>,
}

/// The running consumers.
pub(super) struct Consumers {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Queues {
    /// Names the client and the clock of the queues.
    pub(super) fn new(client: RedisClient, clock: &Arc<dyn Clock>) -> Self {
        Self { client, clock: Arc::clone(clock) }
    }

    /// Returns the emitter.
    pub(super) fn emitter(&self, format: MessageFormat) -> Arc<dyn MessageEmitter> {
        Arc::new(RedisEmitter::new(&self.client, format))
    }

    /// Returns the dead letters.
    pub(super) fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(RedisDeadLetters::new(&self.client))
    }

    /// Returns the probe of `/readyz`.
    pub(super) fn probe(&self) -> Arc<dyn HealthProbe> {
        Arc::new(RedisProbe(self.client.clone()))
    }

    /// Returns the client.
    pub(super) fn client(&self) -> RedisClient {
        self.client.clone()
    }

    /// Starts the consumers of both queues.
    pub(super) fn consume(
        &self,
        settings: &Settings,
        pipeline: &Pipeline,
        repository: &Arc<dyn Store>,
        traces: Option<&Traces>,
    ) -> Consumers {
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        // Each queue has its own intake: a backlog in one must not block the other.
        let ingresses = [pipeline.named_ingress("list"), pipeline.named_ingress("stream")];
        for _ in 0..settings.redis_consumers {
            let sources: [Arc<dyn RecordSource>; 2] = [
                Arc::new(RedisListSource::new(&self.client, Arc::clone(&self.clock))),
                Arc::new(RedisStreamSource::new(&self.client, Arc::clone(&self.clock))),
            ];
            let traced = |source| traces.map_or(Arc::clone(&source), |traces| traces.source(source));
            for (source, ingress) in sources.map(traced).into_iter().zip(&ingresses) {
                let consumer = Consumer {
                    breaker: pipeline.breakers().named(&format!("queue-{}", source.name())),
                    source,
                    ingress: ingress.clone(),
                    repository: repository.clone(),
                    clock: Arc::clone(&self.clock),
                    retry: settings.pipeline.retry,
                };
                running.spawn(consumer.run(stopped.clone()));
            }
        }
        Consumers { stop, running }
    }
}

impl Consumers {
    /// Stops receiving, and returns when every received payload is acknowledged or returned.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

/// Makes a client. No connection is made.
///
/// # Errors
/// The settings are wrong.
pub(crate) fn open_client(settings: RedisSettings) -> Result<RedisClient, SettingsError> {
    RedisClient::open(settings).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        SettingsError(format!("the settings of redis are wrong: {error}{cause}"))
    })
}

/// Pings Redis.
struct RedisProbe(RedisClient);

#[async_trait]
impl HealthProbe for RedisProbe {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> ProbeState {
        match self.0.ping().await {
            Ok(()) => ProbeState::Up,
            Err(error) => {
                tracing::debug!(%error, "Redis does not answer");
                ProbeState::Down
            }
        }
    }
}
