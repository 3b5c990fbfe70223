//! Measures what a commit costs beside the bare insert of the same rows into the same table with the same indexes.
//!
//! `cargo run --release -p tallyhouse-postgres --example commit_cost`
//!
//! It starts a server of its own that flushes nothing: what is compared is work, not disks. "µs" is the CPU time of the
//! server's process per record, beside it the time that passed, with one writer.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use tallyhouse_core::ports::{Batch, RecordRepository};
use tallyhouse_core::{Draft, Outcome, Record, RecordType, RuleBook, StoredRecord, Timestamp, rules_to_json};
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

const RECORDS: usize = 100_000;
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The insert of `insert_records` and nothing else, planned once as it is there.
const BARE: &str = "
    CREATE TABLE bare (LIKE records INCLUDING ALL);
    CREATE FUNCTION bare_insert(
        ids text[], times timestamptz[], sources text[], destinations text[], positives boolean[], decimals text[],
        units text[], refs text[], sequences bigint[], previous_ones text[], alert_lists text[], slots bigint[],
        at timestamptz
    ) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO bare (time, processed_at, sequence, slot, positive, record_id, source_id, destination_id,
            reference, unit, value, previous, alerts)
        SELECT n.time, at, n.sequence, n.slot, n.positive, n.id, n.source, n.destination, n.reference, n.unit,
            n.value::numeric, n.previous, n.alerts
        FROM unnest(ids, times, sources, destinations, positives, decimals, units, refs, sequences, previous_ones,
            alert_lists, slots)
            AS n (id, time, source, destination, positive, value, unit, reference, sequence, previous, alerts, slot);
    END $$";

fn main() -> anyhow::Result<()> {
    let server = PostgresServer::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{:<28} {:>6}  {:>16}  {:>16}  ratio", "records", "batch", "commit: µs", "bare insert: µs");
    for (name, make) in [("300 keys, ids by day", real as fn(usize) -> Record), ("a key each, random ids", cold)] {
        for size in [1_000, 128] {
            let url = server.database()?;
            let (commit, stored) = runtime.block_on(committed(&server, &url, make, size))?;
            let bare = inserted(&url, &stored, size)?;
            let ratio = bare.cpu.as_secs_f64() / commit.cpu.as_secs_f64();
            println!("{name:<28} {size:>6}  {:>16}  {:>16}  {ratio:.2}", commit.per_record(), bare.per_record());
        }
    }
    Ok(())
}

/// The keys of flights: about a hundred destinations, three origins; ids grow with the days.
fn real(n: usize) -> Record {
    let (day, flight) = (n / 900 % 28 + 1, n % 900);
    let month = n / 900 / 28 + 1;
    let origin = ["EWR", "JFK", "LGA"][flight % 3];
    let destination = format!("D{:02}", (flight * 7919) % 100);
    let id = format!("2013-{month:02}-{day:02}-UA{}-{origin}-{destination}", (flight * 7919) % 900 + 1_000);
    let time = format!("2013-{month:02}-{day:02}T{:02}:00:00Z", flight % 24);
    record(&id, &time, &destination, origin, n)
}

/// A key for each record; ids without any order.
fn cold(n: usize) -> Record {
    let id = format!("{:032x}", (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
    record(&id, "2026-01-01T00:00:00Z", &id[..16], "", n)
}

fn record(id: &str, time: &str, destination_id: &str, reference: &str, n: usize) -> Record {
    let value = (n % 180).to_string();
    let draft = Draft {
        record_id: id,
        time,
        source_id: "UA",
        destination_id,
        record_type: ["positive", "negative"][n % 2],
        value: &value,
        unit: "minute",
        reference,
    };
    draft.check().expect("the record keeps the rules")
}

struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn per_record(&self) -> String {
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / RECORDS as f64;
        format!("{:.1} ({:.1})", micros(self.cpu), micros(self.wall))
    }
}

async fn committed(
    server: &PostgresServer,
    url: &str,
    make: fn(usize) -> Record,
    size: usize,
) -> anyhow::Result<(Cost, Vec<Arc<StoredRecord>>)> {
    let settings = PostgresSettings { url: url.to_owned(), writers: 1, ..PostgresSettings::default() };
    let repository = PostgresRepository::new(settings);
    repository.migrate().await?;
    let records: Vec<Record> = (0..RECORDS).map(make).collect();
    let batches: Vec<Batch> = records.chunks(size).map(batch).collect();
    repository.commit(batch(&[])).await?;
    let database = url.rsplit('/').next().unwrap_or_default();
    let pid = server.psql(database, "SELECT pid FROM pg_stat_activity WHERE application_name = 'tallyhouse'")?;

    let (cpu, begun) = (cpu_of(&pid)?, Instant::now());
    let mut stored = Vec::with_capacity(RECORDS);
    let mut previous = None;
    for mut batch in batches {
        batch.published = previous.take().into_iter().collect();
        let committed = repository.commit(batch).await?;
        previous = committed.entry.map(|entry| entry.id);
        stored.extend(committed.outcomes.into_iter().filter_map(|outcome| match outcome {
            Outcome::Processed(stored) => Some(stored),
            Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => None,
        }));
    }
    let cost = Cost { cpu: cpu_of(&pid)? - cpu, wall: begun.elapsed() };
    anyhow::ensure!(stored.len() == RECORDS, "only {} of {RECORDS} were new", stored.len());
    Ok((cost, stored))
}

fn batch(records: &[Record]) -> Batch {
    Batch {
        arrivals: records.iter().cloned().map(Into::into).collect(),
        rules: Arc::new(RuleBook::default()),
        now: Timestamp::parse("2026-01-01T00:00:00Z").expect("this is RFC 3339"),
        owner: Some(tallyhouse_core::ports::Owner::new("measurement")),
        published: Vec::new(),
    }
}

fn inserted(url: &str, stored: &[Arc<StoredRecord>], size: usize) -> anyhow::Result<Cost> {
    #[derive(QueryableByName)]
    struct Pid {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let mut connection = PgConnection::establish(url)?;
    connection.batch_execute(BARE)?;
    connection.batch_execute("SET synchronous_commit = on; SET plan_cache_mode = force_generic_plan")?;
    let pid: Pid = sql_query("SELECT pg_backend_pid() AS pid").get_result(&mut connection)?;
    let pid = pid.pid.to_string();
    let (cpu, begun) = (cpu_of(&pid)?, Instant::now());
    for (number, chunk) in stored.chunks(size).enumerate() {
        insert(&mut connection, number, chunk)?;
    }
    Ok(Cost { cpu: cpu_of(&pid)? - cpu, wall: begun.elapsed() })
}

fn insert(connection: &mut PgConnection, number: usize, chunk: &[Arc<StoredRecord>]) -> anyhow::Result<()> {
    fn column<'a, T>(chunk: &'a [&StoredRecord], field: impl Fn(&'a StoredRecord) -> T) -> Vec<T> {
        chunk.iter().map(|stored| field(stored)).collect()
    }
    let at = |time: Timestamp| PgTimestamp(time.as_micros() - POSTGRES_EPOCH_MICROS);
    let mut sorted: Vec<&StoredRecord> = chunk.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable_by_key(|stored| stored.processed.record.record_id.as_str());
    let slots: Vec<i64> =
        (0..).take(sorted.len()).map(|place| i64::try_from(number << 20).unwrap_or(0) + place).collect();
    sql_query("SELECT bare_insert($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.record_id.as_str()))
        .bind::<Array<Timestamptz>, _>(column(&sorted, |s| at(s.processed.record.time)))
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.source_id.as_str()))
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.destination_id.as_str()))
        .bind::<Array<Bool>, _>(column(&sorted, |s| s.processed.record.record_type == RecordType::Positive))
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.value.to_string()))
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.unit.as_str()))
        .bind::<Array<Text>, _>(column(&sorted, |s| s.processed.record.reference.as_str()))
        .bind::<Array<BigInt>, _>(column(&sorted, |s| i64::try_from(s.processed.sequence).unwrap_or(0)))
        .bind::<Array<Nullable<Text>>, _>(column(&sorted, |s| {
            (s.previous.count() > 0).then(|| s.previous.to_compact())
        }))
        .bind::<Array<Nullable<Text>>, _>(column(&sorted, |s| (!s.alerts.is_empty()).then(|| rules_to_json(&s.alerts))))
        .bind::<Array<BigInt>, _>(slots)
        .bind::<Timestamptz, _>(at(sorted[0].processed.processed_at))
        .execute(connection)?;
    Ok(())
}

/// Reads the CPU time of a process of one thread (schedstat: the first number, in nanoseconds).
fn cpu_of(pid: &str) -> anyhow::Result<Duration> {
    let schedstat = fs::read_to_string(format!("/proc/{}/schedstat", pid.trim()))?;
    let nanoseconds = schedstat.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
