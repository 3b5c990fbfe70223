//! The service: wires the ports to one another, runs until it is told to stop, and stops in good order.

mod emitter;
pub(crate) mod queues;
pub(crate) mod signals;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tallyhouse_core::ports::{Clock, MessageEmitter, Owner};
use tallyhouse_core::{Feed, Pipeline, PipelineParts, PipelineSettings};
use tallyhouse_http::{HttpApp, HttpServer};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::settings::{Settings, SettingsError};
use crate::store::{Schema, Store};
use emitter::InProcessEmitter;
use queues::Queues;
use signals::Signals;

/// Exit code of a service that did not stop in good order.
const EXIT_CUT_SHORT: u8 = 1;

/// Serves until a signal comes, then stops in good order.
///
/// # Errors
/// The service can't be started; the error says what to do about it.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let signals = Signals::install()?;
    let server = bind(&settings).await?;
    let store = Store::open(&settings, Schema::Migrate).await?;
    if !store.migrated().is_empty() {
        tracing::info!(database = %settings.database, versions = store.migrated().join(", "), "the database was brought up to date");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let queues = settings.redis.clone().map(|redis| Queues::open(redis, &clock)).transpose()?;
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: Arc::clone(&store.repository),
        clock: Arc::clone(&clock),
        rules: settings.rules.clone(),
        emitter: Some((Owner::new(&uuid::Uuid::new_v4().to_string()), emitter(queues.as_ref(), &settings))),
        settings: PipelineSettings { writers: writers(&settings, &store), ..settings.pipeline },
    });
    let mut work = JoinSet::new();
    driver.into_tasks().into_iter().for_each(|task| {
        work.spawn(task);
    });

    let consumers = queues.as_ref().map(|queues| queues.consume(&settings, &pipeline, &store.repository, &clock));
    let stop = CancellationToken::new();
    let feed = Feed::new(Arc::clone(&store.repository), clock, pipeline.commits(), settings.look_every);
    let app = HttpApp {
        door: pipeline.door(),
        repository: Arc::clone(&store.repository),
        feed,
        format: settings.messages.clone(),
        dead_letters: queues.as_ref().map(Queues::dead_letters),
        probes: queues.as_ref().map(Queues::probe).into_iter().collect(),
    };
    let addr = server.local_addr();
    let serving = tokio::spawn(server.serve(app, stop.clone()));
    tracing::info!(
        %addr, url = format!("http://{addr}"), database = %settings.database, redis = queues.is_some(),
        version = env!("CARGO_PKG_VERSION"), "listening"
    );

    let told = run_until_told(signals, &mut work).await;
    let stopping = async {
        stop.cancel();
        if let Some(consumers) = consumers {
            consumers.stop().await;
        }
        let served = serving.await;
        pipeline.close();
        while work.join_next().await.is_some() {}
        served
    };
    match timeout(settings.stop_deadline, stopping).await {
        Ok(Ok(())) if told => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Ok(())) => Ok(ExitCode::from(EXIT_CUT_SHORT)),
        Ok(Err(error)) => Err(error).context("the HTTP server broke off"),
        Err(_late) => {
            tracing::error!(
                deadline = ?settings.stop_deadline,
                "not all work was done in time; what was not answered is to be sent again, nothing answered is lost"
            );
            Ok(ExitCode::from(EXIT_CUT_SHORT))
        }
    }
}

/// Runs until a signal comes; says whether it did. A part of the service that ends by itself has panicked, and the
/// service must not look alive without it.
async fn run_until_told(mut signals: Signals, work: &mut JoinSet<()>) -> bool {
    let told = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping; another signal ends it at once");
            true
        }
        Some(ended) = work.join_next() => {
            let error = ended.err().map(|error| error.to_string()).unwrap_or_default();
            tracing::error!(error, "a part of the service ended; stopping");
            false
        }
    };
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("ended at once");
        std::process::exit(signals::EXIT_INTERRUPTED.into());
    });
    told
}

async fn bind(settings: &Settings) -> anyhow::Result<HttpServer> {
    let listen = &settings.listen;
    let addresses = lookup_host(listen).await.map_err(|error| {
        SettingsError(format!("the setting listen = {listen:?} must be HOST:PORT, such as 127.0.0.1:8080: {error}"))
    })?;
    let addresses: Vec<_> = addresses.collect();
    if !settings.anonymous && addresses.iter().any(|address| !address.ip().is_loopback()) {
        let fault = format!(
            "the setting listen = {listen:?} reaches beyond this machine, and anybody could read and write; set \
             auth.anonymous = true (TALLYHOUSE_AUTH__ANONYMOUS=true) if a proxy or the network keeps strangers out"
        );
        return Err(SettingsError(fault).into());
    }
    let bound = HttpServer::bind(&*addresses, settings.http).await;
    bound.with_context(|| {
        format!("can't listen on {listen}; stop what listens there, or choose another address with --listen")
    })
}

fn emitter(queues: Option<&Queues>, settings: &Settings) -> Arc<dyn MessageEmitter> {
    match queues {
        Some(queues) => queues.emitter(settings.messages.clone()),
        None => Arc::new(InProcessEmitter),
    }
}

/// Returns how many batches are committed at once: SQLite has one writer whatever is set.
fn writers(settings: &Settings, store: &Store) -> usize {
    match (store.writers, settings.pipeline.writers) {
        (1, _) => 1,
        (by_database, 0) => by_database,
        (_, set) => set,
    }
}
