//! The world of a run: servers, instances, and the lines between them, each of which can be disturbed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::chaos::content::RULE;
use crate::chaos::ledger::lock;
use crate::servers::postgres::{PostgresOptions, PostgresServer};
use crate::servers::proxy::Proxy;
use crate::servers::redis_server::RedisServer;
use crate::servers::service::{Options, Service};

/// For how long a supervisor tries to start an instance, even while other parts are unavailable.
const SUPERVISION: Duration = Duration::from_secs(120);

/// How often it does.
const SUPERVISION_TICK: Duration = Duration::from_millis(200);

/// How many messages the durable streams keep: far more than are published while a listener looks away.
const DURABLE_MESSAGES: &str = "50000";

/// The lines of one instance.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) postgres: Proxy,
    pub(crate) redis: Proxy,
}

/// An instance, and the supervisor that is starting it again.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) service: Arc<Mutex<Service>>,
    pub(crate) url: String,
    pub(crate) lines: Lines,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    /// They go before their servers do.
    pub(crate) instances: Vec<Instance>,
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: RedisServer,
    pub(crate) database: String,
    /// Who starts instances again, at this time.
    supervisors: Vec<JoinHandle<()>>,
    /// Orderly stops that did not end with success.
    pub(crate) cut_short: Arc<AtomicU64>,
    /// Of the proxies.
    _runtime: Runtime,
}

impl World {
    /// Starts everything, with nothing disturbed.
    ///
    /// # Panics
    /// Something does not start.
    pub(crate) fn start(instances: usize) -> Self {
        let postgres = PostgresServer::start_with(PostgresOptions { fsync: true, ..PostgresOptions::default() });
        let postgres = postgres.expect("Postgres starts");
        let redis = RedisServer::start_durable().expect("Redis starts");
        let url = postgres.database().expect("a database can be made");
        let database = url.rsplit('/').next().expect("the URL has a path").to_owned();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime can be made");
        let start = |_| {
            let lines = Lines {
                postgres: Proxy::before(postgres.port(), runtime.handle()),
                redis: Proxy::before(redis.port(), runtime.handle()),
            };
            let service = Service::start_with(
                Options::new()
                    .file(RULE)
                    .env("TALLYHOUSE_DATABASE__URL", url.replace(&port(postgres.port()), &port(lines.postgres.port())))
                    .env("TALLYHOUSE_REDIS__URL", redis.url().replace(&port(redis.port()), &port(lines.redis.port())))
                    .env("TALLYHOUSE_REDIS__DURABLE", "true")
                    .env("TALLYHOUSE_REDIS__DURABLE_MAX_LEN", DURABLE_MESSAGES),
            );
            let url = service.url();
            Instance { service: Arc::new(Mutex::new(service)), url, lines }
        };
        let instances = (0..instances).map(start).collect();
        Self {
            instances,
            postgres,
            redis,
            database,
            supervisors: Vec::new(),
            cut_short: Arc::default(),
            _runtime: runtime,
        }
    }

    /// Ends an instance with SIGKILL.
    pub(crate) fn kill(&self, instance: usize) {
        lock(&self.instances[instance].service).kill();
    }

    /// Lets a supervisor start an instance that has ended, and try again for as long as it can't.
    pub(crate) fn supervise(&mut self, instance: usize) {
        let service = Arc::clone(&self.instances[instance].service);
        self.supervisors.push(std::thread::spawn(move || start_again(&service)));
    }

    /// Lets somebody stop these instances in order and start them again, one after the other.
    pub(crate) fn roll(&mut self, instances: std::ops::Range<usize>) {
        let services: Vec<_> = self.instances[instances].iter().map(|each| Arc::clone(&each.service)).collect();
        let cut_short = Arc::clone(&self.cut_short);
        self.supervisors.push(std::thread::spawn(move || {
            for service in services {
                let (code, _) = {
                    let mut service = lock(&service);
                    service.ask_to_stop();
                    service.ended()
                };
                cut_short.fetch_add(u64::from(code != Some(0)), Ordering::Relaxed);
                start_again(&service);
            }
        }));
    }

    /// Makes a synchronous standby of Postgres, ends the primary as in a crash, and lets the standby take its place.
    ///
    /// # Errors
    /// The standby can't be made or promoted.
    pub(crate) fn promote_standby(&mut self) -> anyhow::Result<()> {
        let standby = self.postgres.standby()?;
        self.postgres.wait_for_standby()?;
        self.postgres.fail_over(standby)
    }

    /// Waits until every instance runs again.
    ///
    /// # Panics
    /// One does not stop or start.
    pub(crate) fn await_instances(&mut self) {
        self.supervisors.drain(..).for_each(|supervisor| supervisor.join().expect("every instance runs again"));
    }

    /// Runs SQL in the database of the instances.
    ///
    /// # Errors
    /// Postgres refuses; says what it says.
    pub(crate) fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.postgres.psql(&self.database, sql)
    }
}

fn port(port: u16) -> String {
    format!(":{port}")
}

fn start_again(service: &Mutex<Service>) {
    let begun = Instant::now();
    loop {
        let tried = lock(service).try_restart();
        match tried {
            Ok(()) => return,
            Err(log) if begun.elapsed() > SUPERVISION => panic!("an instance does not start:\n{log}"),
            Err(_) => sleep(SUPERVISION_TICK),
        }
    }
}
