//! The service: wires adapters to the pipeline, runs until a signal, and stops gracefully.

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

use crate::database::{Database, Schema};
use crate::settings::{Settings, SettingsError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use emitter::InProcessEmitter;
use queues::{Consumers, Queues};
use signals::{EXIT_INTERRUPTED, Signals};
use tallyhouse_pipeline::TokioClock;

/// Exit code of a service that failed, or was still busy at `stop.deadline_ms`.
const EXIT_UNCLEAN: u8 = 1;

/// How long a stop waits for the export of the last spans: a slow collector must not delay a restart.
const TRACES_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until a signal, then stops gracefully.
///
/// # Errors
/// The service can't be started; the error says what to do about it.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::install()?;
    // Everything that can be wrong with the settings is checked before the database is opened: a failed start must not
    // migrate it. The address comes first, because another instance that listens there may own the database.
    let keys = settings.keys_file.as_ref().map(KeyRing::open).transpose();
    let keys = keys.map_err(|error| SettingsError(format!("the setting auth.keys_file is wrong: {error}")))?;
    let server = with_tls(bind(&settings).await?.with_proxies(settings.proxies.clone()), &settings)?;
    let (addr, url) = (server.local_addr(), server.url());
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::start());
    let queues = settings.redis.clone().map(|redis| Queues::open(redis, &clock)).transpose()?;
    let adapters = Adapters { keys, clock, queues };
    let database = Database::open(&settings, Schema::Migrate).await?;
    if !database.migrated().is_empty() {
        let versions = database.migrated().join(", ");
        tracing::info!(database = %settings.database, versions, "the database schema was migrated");
    }
    let traces = settings.otlp.as_ref().map(Traces::start).transpose()?;
    let mut running = Running::start(server, adapters, &database, traces.as_ref(), &settings);
    tracing::info!(
        %addr, url, database = %settings.database, redis = settings.redis.is_some(), traces = traces.is_some(),
        version = env!("CARGO_PKG_VERSION"), "listening"
    );

    let signalled = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping; a second signal ends the process at once");
            true
        }
        () = running.failed() => false,
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
        tracing::error!(
            ?deadline,
            "the stop took too long; unanswered requests must be repeated, answered ones are safe"
        );
    }
    if let Some(traces) = traces.filter(|_| stopped) {
        traces.stop(TRACES_FLUSH_TIMEOUT).await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::from(if signalled && stopped { 0 } else { EXIT_UNCLEAN }))
}

/// The adapters whose settings were checked before the database was opened.
struct Adapters {
    keys: Option<KeyRing>,
    clock: Arc<dyn Clock>,
    queues: Option<Queues>,
}

/// The running parts of the service.
struct Running {
    pipeline: Pipeline,
    /// The tasks of the pipeline.
    tasks: JoinSet<()>,
    consumers: Option<Consumers>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    fn start(
        server: HttpServer,
        adapters: Adapters,
        database: &Database,
        traces: Option<&Traces>,
        settings: &Settings,
    ) -> Self {
        let Adapters { keys, clock, queues } = adapters;
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository(database, traces),
            clock: Arc::clone(&clock),
            rules: settings.rules.clone(),
            publisher: Some(Publisher {
                owner: Owner::new(&Uuid::new_v4().to_string()),
                emitter: emitter(queues.as_ref(), traces, settings),
                outbox: database.store.clone(),
                reader: database.store.clone(),
            }),
            settings: PipelineSettings { writers: writers(settings, database), ..settings.pipeline },
        });
        let tasks = driver.into_tasks().into_iter().collect();
        let consumers = queues.as_ref().map(|queues| queues.consume(settings, &pipeline, &database.store, traces));
        let app = HttpApp {
            ingress: pipeline.named_ingress("http"),
            reader: database.store.clone(),
            repository: database.store.clone(),
            alert_rules: Some(AlertRules {
                own: settings.rules.clone(),
                repository: Arc::clone(&database.rules),
                clock: Arc::clone(&clock),
            }),
            feed: Feed::new(database.store.clone(), clock, pipeline.commits(), settings.poll_interval),
            format: settings.messages.clone(),
            dead_letters: queues.as_ref().map(Queues::dead_letters),
            breakers: pipeline.breakers(),
            probes: queues.as_ref().map(Queues::probe).into_iter().collect(),
            keys: keys.map(Arc::new),
        };
        let metrics = Metrics::new(pipeline.clone(), database, queues.as_ref().map(Queues::client), settings);
        let server = server.with_metrics(Arc::new(metrics));
        let stop = CancellationToken::new();
        let server = match traces {
            Some(traces) => server.with_tracer(traces.requests()),
            None => server,
        };
        let serving = tokio::spawn(server.serve(app, stop.clone()));
        Self { pipeline, tasks, consumers, stop, serving }
    }

    /// Returns when a part of the service has ended without a stop: it has panicked. The service must then end, too, so
    /// that a supervisor restarts it.
    async fn failed(&mut self) {
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next() => ended,
            ended = &mut self.serving => ended,
        };
        let error = ended.err().map(|error| error.to_string());
        tracing::error!(error, "a part of the service ended unexpectedly; stopping");
    }

    /// Accepts nothing new, finishes the accepted work, and publishes the outstanding messages.
    async fn stop(self) {
        let Self { pipeline, mut tasks, consumers, stop, serving } = self;
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
                tracing::error!(%error, "the HTTP server failed");
            }
        };
        tokio::join!(consumers_stop, served);
        // The pipeline closes last: accepted records have to be committed first.
        pipeline.close();
        while tasks.join_next().await.is_some() {}
    }
}

async fn bind(settings: &Settings) -> anyhow::Result<HttpServer> {
    let listen = &settings.listen;
    let addresses = lookup_host(listen).await.map_err(|error| {
        SettingsError(format!("the setting listen = {listen:?} must be HOST:PORT, such as 127.0.0.1:8080: {error}"))
    })?;
    let addresses: Vec<_> = addresses.collect();
    let access_is_decided = settings.keys_file.is_some() || settings.anonymous;
    if !access_is_decided && addresses.iter().any(|address| !address.ip().is_loopback()) {
        let fault = format!(
            "the setting listen = {listen:?} is reachable from other machines, and anybody could read and write; set \
             auth.keys_file (see tallyhouse keys new), or auth.anonymous = true (TALLYHOUSE_AUTH__ANONYMOUS=true) if a \
             proxy or the network controls access"
        );
        return Err(SettingsError(fault).into());
    }
    let bound = HttpServer::bind(&*addresses, settings.http).await;
    bound.with_context(|| {
        format!(
            "can't listen on {listen}; stop the program that listens there, or choose another address with --listen"
        )
    })
}

/// Adds TLS to a server, if `tls` is set.
fn with_tls(server: HttpServer, settings: &Settings) -> Result<HttpServer, SettingsError> {
    let Some(files) = &settings.tls else { return Ok(server) };
    let identity = TlsIdentity::open(&files.cert_file, &files.key_file)
        .map_err(|error| SettingsError(format!("the settings of tls are wrong: {error}")))?;
    Ok(server.with_tls(identity))
}

/// Returns the repository of the pipeline, traced if traces are exported.
fn repository(database: &Database, traces: Option<&Traces>) -> Arc<dyn RecordRepository> {
    let repository: Arc<dyn RecordRepository> = database.store.clone();
    match traces {
        Some(traces) => traces.repository(repository),
        None => repository,
    }
}

/// Returns the emitter of the pipeline. The in-process emitter does nothing that could be traced.
fn emitter(queues: Option<&Queues>, traces: Option<&Traces>, settings: &Settings) -> Arc<dyn MessageEmitter> {
    let Some(queues) = queues else { return Arc::new(InProcessEmitter) };
    let emitter = queues.emitter(settings.messages.clone());
    match traces {
        Some(traces) => traces.emitter(emitter),
        None => emitter,
    }
}

/// Returns how many batches are committed at once. SQLite commits one and prepares the next:
/// the setting has no effect there.
fn writers(settings: &Settings, database: &Database) -> usize {
    match (&database.postgres, settings.pipeline.writers) {
        (None, _) | (_, 0) => database.writers,
        (Some(_), set) => set,
    }
}
