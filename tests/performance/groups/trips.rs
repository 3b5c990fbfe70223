//! What the service asks of its servers: for a record, and while there is nothing to do.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, Queue, await_published};
use tallyhouse_tests::bench::load::{Load, Requests, UNTIL_DONE};
use tallyhouse_tests::bench::processes::{cpu_of, state_of};
use tallyhouse_tests::bench::supply::{Keys, Supply, take};
use tallyhouse_tests::bench::world::World;

use crate::figure::{Figures, Metric, own};
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::{fresh, send_lines};

/// Records of one way: few, because Postgres writes every statement down.
const RECORDS: u64 = 4_000;

/// Connections of those that use many.
const CONNECTIONS: usize = 64;

/// How long the last settling may take after the last message.
const SETTLING: Duration = Duration::from_millis(400);

/// How long the service is left alone before it counts as idle.
const BEFORE_IDLE: Duration = Duration::from_secs(3);

/// How long Postgres may take to read its settings anew.
const RELOADING: Duration = Duration::from_millis(200);

const STATEMENTS: Metric = own("statements", 3);
const TRANSACTIONS: Metric = own("transactions", 3);
const COMMANDS: Metric = own("Redis commands", 3);

/// Statements that Postgres is asked for, by its own log. Each is a round trip of the protocol.
struct Counted<'a> {
    world: &'a World,
    /// Bytes of the log before.
    logged: usize,
}

impl<'a> Counted<'a> {
    fn begin(world: &'a World) -> Result<Self> {
        // Process and database.
        for setting in ["log_statement = 'all'", "log_line_prefix = '%p %d|'"] {
            world.postgres.psql("postgres", &format!("ALTER SYSTEM SET {setting}"))?;
        }
        world.postgres.psql("postgres", "SELECT pg_reload_conf()")?;
        sleep(RELOADING);
        world.redis.reset_counts()?;
        Ok(Self { world, logged: world.postgres.log().len() })
    }

    /// Returns how many statements, transactions and commands of Redis there were, for each of `divisor`.
    fn end(self, database: &str, divisor: f64) -> Result<Figures> {
        let commands = self.world.redis_commands()?;
        let log = self.world.postgres.log();
        for setting in ["log_statement", "log_line_prefix"] {
            self.world.postgres.psql("postgres", &format!("ALTER SYSTEM RESET {setting}"))?;
        }
        self.world.postgres.psql("postgres", "SELECT pg_reload_conf()")?;
        let (statements, transactions) = count(&log[self.logged..], database);
        let figures = [(STATEMENTS, statements), (TRANSACTIONS, transactions), (COMMANDS, commands)];
        Ok(figures.map(|(metric, count)| (metric, count as f64 / divisor)).into())
    }
}

/// Counts statements and transactions in a log. A statement outside of `BEGIN` and `COMMIT` is a transaction of its
/// own.
fn count(log: &str, database: &str) -> (u64, u64) {
    let (mut statements, mut transactions) = (0, 0);
    let mut within: HashSet<&str> = HashSet::new();
    for line in log.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let logged = rest.strip_prefix(database).and_then(|rest| rest.strip_prefix("|LOG:  "));
        // `statement: SQL`, or `execute NAME: SQL`.
        let logged = logged.filter(|text| text.starts_with("statement: ") || text.starts_with("execute "));
        let Some((_, sql)) = logged.and_then(|text| text.split_once(": ")) else { continue };
        statements += 1;
        let sql = sql.trim_start();
        if sql.starts_with("BEGIN") {
            within.insert(process);
        } else if sql.starts_with("COMMIT") || sql.starts_with("ROLLBACK") {
            within.remove(process);
            transactions += 1;
        } else if !within.contains(process) {
            transactions += 1;
        }
    }
    (statements, transactions)
}

/// Measures what the service asks of its servers for a record.
pub(crate) fn trips(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    let supply = supply(Keys::Flights);
    let records = kit.scale.records.min(RECORDS);
    let single = |connections: usize| {
        let (deployment, requests) = (&deployment, fresh(&supply));
        move |_| counted(kit, deployment, records, || posted(deployment, connections, records, &requests))
    };
    let batched = |size: u64| {
        let (deployment, supply) = (&deployment, &supply);
        move |_| counted(kit, deployment, records, || in_batches(deployment, size, records, supply))
    };
    let queued = |queue: Queue| {
        let (deployment, supply) = (&deployment, &supply);
        move |_| {
            counted(kit, deployment, records, || deployment.preload(&kit.world, queue, supply, take(records)).map(drop))
        }
    };
    let ways = vec![
        Way::new("POST, 1 connection", single(1)),
        Way::new("POST, 64 connections", single(CONNECTIONS)),
        Way::new("JSON batches of 100, 1 connection", batched(100)),
        Way::new("JSON batches of 1,000, 1 connection", batched(1_000)),
        Way::new("NDJSON, 1 request", |_| {
            let send = || send_lines(deployment.service.address(), &supply.lines_request(take(records)));
            counted(kit, &deployment, records, send)
        }),
        Way::new("list", queued(Queue::List)),
        Way::new("stream", queued(Queue::Stream)),
    ];
    let what = format!(
        "for each of {records} records; statements are counted by the log of Postgres and are round trips, \
                        commands of Redis are those that it ran, within its scripts and pipelines, too"
    );
    measure("trips", what, 1, ways)
}

fn counted(kit: &Kit, deployment: &Deployment, records: u64, send: impl FnOnce() -> Result<()>) -> Result<Figures> {
    let counted = Counted::begin(&kit.world)?;
    send()?;
    await_published(&kit.world, records)?;
    sleep(SETTLING);
    counted.end(deployment.database_name(), records as f64)
}

fn posted(deployment: &Deployment, connections: usize, records: u64, requests: &Arc<Requests>) -> Result<()> {
    let seen = Load::connect(deployment.service.address(), connections)?.closed(take(records), UNTIL_DONE, requests);
    ensure!(seen.successes() == records, "not all were taken: {:?}", seen.answers);
    Ok(())
}

fn in_batches(deployment: &Deployment, size: u64, records: u64, supply: &Supply) -> Result<()> {
    let all: Vec<Vec<u8>> = (0..records / size).map(|_| supply.batch_request(take(size))).collect();
    let count = all.len() as u64;
    let requests: Arc<Requests> =
        Arc::new(move |n, _, out: &mut Vec<u8>| out.extend_from_slice(&all[usize::try_from(n).expect("an index")]));
    let seen = Load::connect(deployment.service.address(), 1)?.closed(0..count, UNTIL_DONE, &requests);
    ensure!(seen.successes() == count, "not all were taken: {:?}", seen.answers);
    Ok(())
}

/// Measures what the service does while there is nothing to do.
pub(crate) fn idle(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    let idle = kit.scale.idle;
    let ways = vec![Way::new("idle, with Postgres and Redis", |_| {
        sleep(BEFORE_IDLE.min(idle));
        let counted = Counted::begin(&kit.world)?;
        let before = cpu_of(&[deployment.service.pid()]);
        sleep(idle);
        let spent = cpu_of(&[deployment.service.pid()]) - before;
        let mut figures = vec![(own("CPU ms a second", 2), spent.as_secs_f64() * 1e3 / idle.as_secs_f64())];
        figures.extend(counted.end(deployment.database_name(), idle.as_secs_f64())?);
        figures.push((own("resident MiB", 0), state_of(deployment.service.pid()).resident_kib as f64 / 1024.0));
        Ok(figures)
    })];
    measure("idle", format!("a second of {idle:?} with nothing to do"), 1, ways)
}
