//! What a service and its servers hold at a moment.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use tallyhouse_tests::bench::deployment::{Deployment, Queue};
use tallyhouse_tests::bench::latency_subscriber::Latencies;
use tallyhouse_tests::bench::processes::{State, state_of};
use tallyhouse_tests::bench::world::World;

use crate::ingresses::Sent;

/// The tables whose sizes are shown.
const TABLES: [&str; 5] = ["records", "summaries", "batches", "outbox", "leases"];

/// A moment, and what happened in the time before.
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) process: State,
    /// MiB of each table with its indexes.
    tables_mib: Vec<u64>,
    /// Batches whose messages are owed.
    pub(crate) owed: u64,
    /// Records in the list and in the stream, and dead letters.
    pub(crate) queues: [u64; 3],
    sent: Sent,
    heard: Latencies,
}

impl Moment {
    pub(crate) fn look(
        world: &World,
        deployment: &Deployment,
        at: Duration,
        sent: Sent,
        heard: Latencies,
    ) -> Result<Self> {
        let mut redis = world.redis.connection()?;
        let dead = redis::cmd("XLEN").arg(format!("{}:dead-letters", deployment.prefix)).query(&mut redis)?;
        let number = |sql: &str| -> Result<u64> { Ok(world.postgres.psql(deployment.database_name(), sql)?.parse()?) };
        let size = |table| number(&format!("SELECT pg_total_relation_size('{table}') / 1048576"));
        Ok(Self {
            at,
            process: state_of(deployment.service.pid()),
            tables_mib: TABLES.into_iter().map(size).collect::<Result<_>>()?,
            owed: number("SELECT count(*) FROM outbox")?,
            queues: [
                deployment.waiting(Queue::List, &mut redis)?,
                deployment.waiting(Queue::Stream, &mut redis)?,
                dead,
            ],
            sent,
            heard,
        })
    }
}

/// Returns all moments as a table.
pub(crate) fn table(moments: &[Moment]) -> Table {
    let mut table = Table::new();
    let head = [
        "at s",
        "records",
        "failed",
        "answer p50 ms",
        "p99",
        "max",
        "message p50 ms",
        "p99",
        "max",
        "RSS MiB",
        "handles",
        "threads",
        "list",
        "stream",
        "dead",
        "outbox",
    ];
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(head.map(str::to_owned).into_iter().chain(TABLES.map(|name| format!("{name} MiB"))));
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    for moment in moments {
        let (answers, messages) = (&moment.sent.single.accepted, &moment.heard.times);
        let mut row = vec![
            format!("{:.0}", moment.at.as_secs_f64()),
            moment.sent.records.to_string(),
            moment.sent.failures().to_string(),
        ];
        row.extend([answers, messages].into_iter().flat_map(|times| [0.5, 0.99, 1.0].map(|part| ms(times.part(part)))));
        row.push((moment.process.resident_kib / 1024).to_string());
        row.push(moment.process.handles.to_string());
        row.push(moment.process.threads.to_string());
        row.extend(moment.queues.iter().chain([&moment.owed]).chain(&moment.tables_mib).map(u64::to_string));
        table.add_row(row);
    }
    table
}
