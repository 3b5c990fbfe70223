//! HTTP without storage: what the service could do at most, whatever it keeps its records in.
//!
//! They run as processes of their own (`bench stand-in NAME`), so that their time on the processors can be told from
//! the sender's.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tallyhouse_pipeline::ports::{
    AuditPart, Batch, Clock, Committed, Groups, HistoryQuery, Page, PartStream, PortError, PortErrorKind, RecordReader,
    RecordRepository,
};
use tallyhouse_pipeline::{
    Feed, GroupQuery, Known, ManagedRules, MessageFormat, Pipeline, PipelineParts, PipelineSettings, Record, RecordId,
    RecordQuery, Reference, RuleSet, StoredRecord, Summary, SummaryQuery, Timestamp, plan,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::ValueEnum;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tallyhouse_http::{HttpApp, HttpServer, HttpSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter as _;
use warp::http::{Response, StatusCode, header};

/// How often followers look: there is nothing to see.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What stands in the place of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StandIn {
    /// One route of warp on hyper: it parses and checks the record, and answers as the service does. No queue, no
    /// batch, no limits, no time-outs.
    Warp,
    /// The service's own HTTP adapter and pipeline, with all limits and time-outs, over a repository that says yes and
    /// forgets. Nothing is stored, looked up or published.
    Adapter,
}

/// A running stand-in; it ends when this is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts this program as a stand-in.
    pub(crate) fn start(stand_in: StandIn) -> Result<Self> {
        let name = stand_in.to_possible_value().context("every stand-in has a name")?;
        let program = std::env::current_exe()?;
        let mut process = Command::new(program)
            .args(["stand-in", name.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("standard output is a pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().context("a stand-in says where it listens")?;
        Ok(Self { process, address })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends with its standard input, too, where this one was killed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs as a stand-in until standard input ends.
pub(crate) fn run(stand_in: StandIn) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match stand_in {
            StandIn::Warp => serve_warp().await?,
            StandIn::Adapter => serve_adapter().await?,
        }
        // Blocks a thread that has nothing else to do.
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        anyhow::Ok(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

async fn serve_warp() -> Result<()> {
    let route = warp::path!("v1" / "records").and(warp::post()).and(warp::body::bytes()).map(|body: bytes::Bytes| {
        match Record::from_json(&body) {
            Ok(record) => answer(StatusCode::CREATED, created(&record)),
            Err(rejection) => answer(StatusCode::UNPROCESSABLE_ENTITY, rejection.detail()),
        }
    });
    let service = warp::service(route);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                drop(socket.set_nodelay(true));
                let mut server = hyper::server::conn::http1::Builder::new();
                // A connection that breaks off has said enough.
                drop(server.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await);
            });
        }
    });
    Ok(())
}

/// Writes what the service answers to the first record of a key.
fn created(record: &Record) -> String {
    let previous = r#"{"count":0,"firstTime":null,"lastTime":null,"totals":[]}"#;
    let id = serde_json::Value::from(record.record_id.as_str());
    format!(
        r#"{{"recordId":{id},"outcome":"processed","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z","previous":{previous},"alerts":[]}}"#
    )
}

fn answer(status: StatusCode, body: String) -> Response<String> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(body).expect("the head is right")
}

async fn serve_adapter() -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(HostClock(Instant::now()));
    let repository = Arc::new(Forgetful);
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: repository.clone(),
        clock: Arc::clone(&clock),
        rules: RuleSet::default(),
        publisher: None,
        settings: PipelineSettings { writers: 4, ..PipelineSettings::default() },
    });
    driver.into_tasks().into_iter().for_each(|task| drop(tokio::spawn(task)));
    let app = HttpApp {
        ingress: pipeline.ingress(),
        batch_ingress: pipeline.ingress(),
        reader: repository.clone(),
        repository: repository.clone(),
        feed: Feed::new(repository, clock, pipeline.watch_commits(), LOOK_EVERY),
        format: MessageFormat::default(),
        dead_letters: None,
        alert_rules: None,
        breakers: pipeline.breakers(),
        probes: Vec::new(),
        keys: None,
    };
    let server = HttpServer::bind("127.0.0.1:0", HttpSettings::default()).await?;
    println!("{}", server.local_addr());
    tokio::spawn(async move {
        server.serve(app, CancellationToken::new()).await;
        drop(pipeline);
    });
    Ok(())
}

struct HostClock(Instant);

#[async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a clock port is where the time of day is read")]
        let now = SystemTime::now();
        Timestamp::try_from(chrono::DateTime::<chrono::Utc>::from(now)).unwrap_or(Timestamp::MIN)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Says yes to every record, and forgets it.
struct Forgetful;

fn nothing<T>() -> Result<T, PortError> {
    Err(PortError::new(PortErrorKind::Misuse, "asking a repository that forgets", "it holds nothing"))
}

#[async_trait]
impl RecordRepository for Forgetful {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let rules =
            batch.rules.in_force(ManagedRules::default().version, || Ok::<_, PortError>(ManagedRules::default()))?;
        let outcomes = plan(&batch.arrivals, Known::default(), &rules, batch.now).outcomes;
        Ok(Committed { outcomes, entry: None })
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl RecordReader for Forgetful {
    async fn find(&self, _: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        nothing()
    }

    async fn records(&self, _: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        nothing()
    }

    async fn summaries(&self, _: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        nothing()
    }

    async fn groups(&self, _: GroupQuery) -> Result<Groups, PortError> {
        nothing()
    }

    async fn history(&self, _: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        nothing()
    }

    async fn head(&self) -> Result<u64, PortError> {
        Ok(0)
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        nothing()
    }
}
