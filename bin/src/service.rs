//! The service: wires adapters to the pipeline, runs until a signal, and stops gracefully.

mod instance_lock;
mod no_op_emitter;
pub(crate) mod preflight;
pub(crate) mod queues;
pub(crate) mod signals;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tallyhouse_http::{AlertRules, HttpApp, HttpServer, RateHistory};
use tallyhouse_pipeline::ports::{Clock, MessageEmitter, Owner, RecordRepository};
use tallyhouse_pipeline::{Feed, Pipeline, PipelineParts, PipelineSettings, Publisher};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::{Database, Schema};
use crate::settings::Settings;
use crate::telemetry::metrics::{Metrics, ReloadedFiles};
use crate::telemetry::traces::Traces;
use instance_lock::InstanceLock;
use no_op_emitter::NoOpEmitter;
use preflight::Preflight;
use queues::{Consumers, Queues};
use signals::{EXIT_INTERRUPTED, Signals};
use tallyhouse_pipeline::TokioClock;

/// Exit code of a service that failed, or had not stopped by `stop.deadline_ms`.
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
    let preflight = Preflight::of(&settings).await?;
    let hosts: Vec<&str> = settings.hosts.iter().map(String::as_str).collect();
    let server = bind(&settings, &preflight).await?.with_hosts(&hosts).with_proxies(settings.proxies.clone());
    let (addr, url) = (server.local_addr(), server.url());
    let database = Database::open(&settings, Schema::Migrate).await?;
    if !database.migrated().is_empty() {
        let versions = database.migrated().join(", ");
        tracing::info!(database = %settings.database, versions, "the database schema was migrated");
    }
    let _lock = InstanceLock::acquire(&settings.database, &url);
    let traces = settings.otlp.as_ref().map(Traces::start).transpose()?;
    let mut running = Running::start(server, preflight, &database, traces.as_ref(), &settings);
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
        preflight: Preflight,
        database: &Database,
        traces: Option<&Traces>,
        settings: &Settings,
    ) -> Self {
        let Preflight { keys, identity, redis, .. } = preflight;
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::start());
        let queues = redis.map(|client| Queues::new(client, &clock));
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
            batch_ingress: pipeline.named_ingress("http"),
            reader: database.store.clone(),
            repository: database.store.clone(),
            alert_rules: Some(AlertRules {
                own: settings.rules.clone(),
                repository: Arc::clone(&database.rules),
                clock: Arc::clone(&clock),
            }),
            feed: Feed::new(
                database.store.clone(),
                Arc::clone(&clock),
                pipeline.watch_commits(),
                settings.poll_interval,
            ),
            format: settings.messages.clone(),
            dead_letters: queues.as_ref().map(Queues::dead_letters),
            breakers: pipeline.breakers(),
            probes: queues.as_ref().map(Queues::probe).into_iter().collect(),
            keys: keys.clone(),
        };
        let files = ReloadedFiles { keys, identity };
        let metrics = Metrics::new(pipeline.clone(), database, queues.as_ref().map(Queues::client), files, settings);
        let server = server.with_metrics(Arc::new(metrics)).with_rates(RateHistory::new(pipeline.clone(), clock));
        let stop = CancellationToken::new();
        let server = match traces {
            Some(traces) => server.with_tracer(traces.requests()),
            None => server,
        };
        let serving = tokio::spawn(server.serve(app, stop.clone()));
        Self { pipeline, tasks, consumers, stop, serving }
    }

    /// Returns when a task of the service has ended without a stop, by a panic. The service must then end, too, so that
    /// a supervisor restarts it.
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

async fn bind(settings: &Settings, preflight: &Preflight) -> anyhow::Result<HttpServer> {
    let listen = &settings.listen;
    let bound = HttpServer::bind(&*preflight.addresses, settings.http).await;
    let server = bound.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "another program listens there; stop it, or choose another address with --listen",
            ErrorKind::AddrNotAvailable => "this machine has no such address; choose one of its own with --listen",
            ErrorKind::PermissionDenied => "this user may not; choose a port of 1024 or more with --listen",
            _ => "choose another address with --listen",
        };
        anyhow::Error::new(error).context(format!("can't listen on {listen}: {remedy}"))
    })?;
    Ok(match &preflight.identity {
        Some(identity) => server.with_tls(Arc::clone(identity)),
        None => server,
    })
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
    let Some(queues) = queues else { return Arc::new(NoOpEmitter) };
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
