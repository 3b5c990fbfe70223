//! The service: wires the ports to one another, runs until it is told to stop, and stops in good order.

mod emitter;
pub(crate) mod queues;
pub(crate) mod signals;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tallyhouse_http::{AlertRules, HttpApp, HttpServer, KeyRing, TlsIdentity};
use tallyhouse_pipeline::ports::{Clock, MessageEmitter, Owner, RecordRepository};
use tallyhouse_pipeline::{Feed, Pipeline, PipelineParts, PipelineSettings, Publisher};
use tokio::net::lookup_host;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::database::{Database, Schema};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use emitter::InProcessEmitter;
use queues::{Consumers, Queues};
use signals::{EXIT_INTERRUPTED, Signals};

/// Exit code of a service that did not stop in good order.
const EXIT_CUT_SHORT: u8 = 1;

/// How long a stop waits for a collector to take the last spans. They are not worth more.
const TRACES_STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Serves until a signal comes, then stops in good order.
///
/// # Errors
/// The service can't be started; the error says what to do about it.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::install()?;
    // The address comes first: where another instance has it, its database is left alone.
    let keys = settings.keys_file.as_ref().map(KeyRing::open).transpose();
    let keys = keys.map_err(|error| SettingsError(format!("the setting auth.keys_file is not right: {error}")))?;
    let server = secured(bind(&settings).await?, &settings)?;
    let (addr, url) = (server.local_addr(), server.url());
    let store = Database::open(&settings, Schema::Migrate).await?;
    if !store.migrated().is_empty() {
        let versions = store.migrated().join(", ");
        tracing::info!(database = %settings.database, versions, "the database was brought up to date");
    }
    let traces = settings.otlp.as_ref().map(Traces::start).transpose()?;
    let mut running = Running::start(server, keys, &store, traces.as_ref(), &settings)?;
    tracing::info!(
        %addr, url, database = %settings.database, redis = settings.redis.is_some(), traces = traces.is_some(),
        version = env!("CARGO_PKG_VERSION"), "listening"
    );

    let told = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping; another signal ends it at once");
            true
        }
        () = running.broke_off() => false,
    };
    let stopped = tokio::select! {
        stopped = timeout(settings.stop_deadline, running.stop()) => stopped.is_ok(),
        signal = signals.next() => {
            tracing::warn!(signal, "ended at once");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    };
    if !stopped {
        let deadline = settings.stop_deadline;
        tracing::error!(?deadline, "cut short; what was not answered is to be sent again, nothing answered is lost");
    }
    if let Some(traces) = traces.filter(|_| stopped) {
        traces.stop(TRACES_STOP_PATIENCE).await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::from(if told && stopped { 0 } else { EXIT_CUT_SHORT }))
}

/// The parts of the service that run.
struct Running {
    pipeline: Pipeline,
    /// The pipeline's own work.
    work: JoinSet<()>,
    consumers: Option<Consumers>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    fn start(
        server: HttpServer,
        keys: Option<KeyRing>,
        store: &Database,
        traces: Option<&Traces>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let queues = settings.redis.clone().map(|redis| Queues::open(redis, &clock)).transpose()?;
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository(store, traces),
            clock: Arc::clone(&clock),
            rules: settings.rules.clone(),
            publisher: Some(Publisher {
                owner: Owner::new(&Uuid::new_v4().to_string()),
                emitter: emitter(queues.as_ref(), traces, settings),
                outbox: store.store.clone(),
                reader: store.store.clone(),
            }),
            settings: PipelineSettings { writers: writers(settings, store), ..settings.pipeline },
        });
        let work = driver.into_tasks().into_iter().collect();
        let consumers = queues.as_ref().map(|queues| queues.consume(settings, &pipeline, &store.store, traces));
        let app = HttpApp {
            ingress: pipeline.named_ingress("http"),
            reader: store.store.clone(),
            repository: store.store.clone(),
            alert_rules: Some(AlertRules {
                own: settings.rules.clone(),
                repository: Arc::clone(&store.rules),
                clock: Arc::clone(&clock),
            }),
            feed: Feed::new(store.store.clone(), clock, pipeline.commits(), settings.poll_interval),
            format: settings.messages.clone(),
            dead_letters: queues.as_ref().map(Queues::dead_letters),
            breakers: pipeline.breakers(),
            probes: queues.as_ref().map(Queues::probe).into_iter().collect(),
            keys: keys.map(Arc::new),
        };
        let metrics = Metrics::new(pipeline.clone(), store, queues.as_ref().map(Queues::client), settings);
        let server = server.with_metrics(Arc::new(metrics));
        let stop = CancellationToken::new();
        let server = match traces {
            Some(traces) => server.with_tracer(traces.requests()),
            None => server,
        };
        let serving = tokio::spawn(server.serve(app, stop.clone()));
        Ok(Self { pipeline, work, consumers, stop, serving })
    }

    /// Returns when a part of the service has ended by itself. It must have panicked, and the service must not look
    /// alive without it.
    async fn broke_off(&mut self) {
        let ended = tokio::select! {
            Some(ended) = self.work.join_next() => ended,
            ended = &mut self.serving => ended,
        };
        let error = ended.err().map(|error| error.to_string());
        tracing::error!(error, "a part of the service ended by itself; stopping");
    }

    /// Takes nothing new, finishes what was taken, and publishes what it owes.
    async fn stop(self) {
        let Self { pipeline, mut work, consumers, stop, serving } = self;
        stop.cancel();
        let consumers_stop = async {
            if let Some(consumers) = consumers {
                consumers.stop().await;
            }
        };
        let served = async {
            if !serving.is_finished()
                && let Err(error) = serving.await
            {
                tracing::error!(%error, "the HTTP server broke off");
            }
        };
        tokio::join!(consumers_stop, served);
        // Only now: what the ingresses had taken was still to be committed.
        pipeline.close();
        while work.join_next().await.is_some() {}
    }
}

async fn bind(settings: &Settings) -> anyhow::Result<HttpServer> {
    let listen = &settings.listen;
    let addresses = lookup_host(listen).await.map_err(|error| {
        SettingsError(format!("the setting listen = {listen:?} must be HOST:PORT, such as 127.0.0.1:8080: {error}"))
    })?;
    let addresses: Vec<_> = addresses.collect();
    let guarded = settings.keys_file.is_some() || settings.anonymous;
    if !guarded && addresses.iter().any(|address| !address.ip().is_loopback()) {
        let fault = format!(
            "the setting listen = {listen:?} reaches beyond this machine, and anybody could read and write; set \
             auth.keys_file (see tallyhouse keys new), or auth.anonymous = true (TALLYHOUSE_AUTH__ANONYMOUS=true) if a \
             proxy or the network keeps strangers out"
        );
        return Err(SettingsError(fault).into());
    }
    let bound = HttpServer::bind(&*addresses, settings.http).await;
    bound.with_context(|| {
        format!("can't listen on {listen}; stop what listens there, or choose another address with --listen")
    })
}

/// Puts TLS before a server, where it is asked for.
fn secured(server: HttpServer, settings: &Settings) -> Result<HttpServer, SettingsError> {
    let Some(files) = &settings.tls else { return Ok(server) };
    let identity = TlsIdentity::open(&files.cert_file, &files.key_file)
        .map_err(|error| SettingsError(format!("the settings of tls are not right: {error}")))?;
    Ok(server.with_tls(identity))
}

/// Returns the repository of the pipeline.
fn repository(store: &Database, traces: Option<&Traces>) -> Arc<dyn RecordRepository> {
    let repository: Arc<dyn RecordRepository> = store.store.clone();
    match traces {
        Some(traces) => traces.repository(repository),
        None => repository,
    }
}

/// Returns the emitter of the pipeline. What is not published is not traced.
fn emitter(queues: Option<&Queues>, traces: Option<&Traces>, settings: &Settings) -> Arc<dyn MessageEmitter> {
    let Some(queues) = queues else { return Arc::new(InProcessEmitter) };
    let emitter = queues.emitter(settings.messages.clone());
    match traces {
        Some(traces) => traces.emitter(emitter),
        None => emitter,
    }
}

/// Returns how many batches are under way at once: on SQLite as many as make sense, whatever is set.
fn writers(settings: &Settings, store: &Database) -> usize {
    match (&store.postgres, settings.pipeline.writers) {
        (None, _) | (_, 0) => store.writers,
        (Some(_), set) => set,
    }
}
