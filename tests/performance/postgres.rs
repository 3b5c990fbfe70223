//! Measures the service on Postgres and Redis, beside a bare insert of the same rows.
//!
//! ```sh
//! cargo build --release -p tallyhouse && cargo run --release -p tallyhouse-tests --bin bench-postgres
//! ```
//!
//! The service is the release binary with its defaults: it looks ids up, keeps summaries, notes what is owed, and
//! publishes. A round of it ends when the last notification has been published. The bare insert gets the very rows
//! that the service has left, in memory, and inserts them by `unnest` into the same table with the same indexes, in
//! batches of as many records, one commit each, on one connection. Servers, service and producer share this machine, and
//! Postgres flushes every commit to its disk. Each way has a database of its own, and the rounds take turns.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use diesel::pg::data_types::{PgNumeric, PgTimestamp};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Numeric, Text, Timestamptz};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, sql_query};
use serde_json::Value;
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::month::month;
use tallyhouse_tests::postgres::{PostgresOptions, PostgresServer};
use tallyhouse_tests::records::ndjson;
use tallyhouse_tests::redis_server::{RedisOptions, RedisServer};
use tallyhouse_tests::service::{Options, Service, signal};

/// How often each is measured.
const ROUNDS: usize = 3;

/// How often the month is repeated within a round, each time with other ids.
const MONTHS: usize = 3;

/// Records of one insert of the bare loop: as many as the service commits together at most.
const BATCH: usize = 1_000;

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(300);

const INSERT: &str = "INSERT INTO records (time, processed_at, sequence, slot, positive, record_id, source_id,
    destination_id, reference, unit, value, previous, alerts)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

const SELECT: &str = "SELECT time, processed_at, sequence, slot, positive, record_id, source_id, destination_id,
    reference, unit, value, previous, alerts FROM records ORDER BY slot";

/// How records come to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Ndjson,
    List,
    Stream,
}

/// What is measured: a name, a door, and what becomes of the n-th record's key.
type Way = (&'static str, Door, fn(&mut Value, usize));

const WAYS: [Way; 5] = [
    ("NDJSON", Door::Ndjson, |_, _| {}),
    ("list", Door::List, |_, _| {}),
    ("stream", Door::Stream, |_, _| {}),
    ("NDJSON, one key for all", Door::Ndjson, |record, _| record["destinationId"] = "HOT".into()),
    ("NDJSON, a key for each", Door::Ndjson, |record, n| record["destinationId"] = format!("D{n}").into()),
];

fn main() -> Result<()> {
    let postgres = PostgresServer::start_with(PostgresOptions { fsync: true, ..PostgresOptions::default() })?;
    let everysec = [("appendonly", "yes"), ("appendfsync", "everysec")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let redis = RedisServer::start_with(RedisOptions { settings: everysec.into(), ..RedisOptions::default() })?;
    let month = month();
    let lanes = WAYS.iter().map(|way| Lane::start(*way, &postgres, &redis)).collect::<Result<Vec<_>>>()?;
    let bare = postgres.database()?;
    Folder::new().run_with(&[("TALLYHOUSE_DATABASE__URL", &bare)], &["migrate"], b"").ok();
    let mut bare = PgConnection::establish(&bare)?;

    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let count = MONTHS * month.len();
    for round in 0..ROUNDS {
        for lane in &lanes {
            let took = lane.round(&redis, &month, round)?;
            rates.entry(lane.way.0).or_default().push(count as f64 / took.as_secs_f64());
        }
        let rows = lanes[0].rows(round)?;
        ensure!(rows.len() == count, "{} rows of {count}", rows.len());
        let took = insert(&mut bare, rows)?;
        rates.entry("bare").or_default().push(count as f64 / took.as_secs_f64());
    }
    report(&mut rates, count);
    Ok(())
}

fn report(rates: &mut BTreeMap<&str, Vec<f64>>, count: usize) {
    let mut median = |name: &str| {
        let rates = rates.get_mut(name).map(Vec::as_mut_slice).unwrap_or_default();
        rates.sort_unstable_by(f64::total_cmp);
        (rates[rates.len() / 2], rates[0], rates[rates.len() - 1])
    };
    println!("{count} records a round, medians of {ROUNDS} rounds (least to most)");
    let (bare, least, most) = median("bare");
    println!("{:26} {bare:8.0} a second ({least:.0} to {most:.0})", "bare unnest insert");
    for (name, ..) in WAYS {
        let (ours, least, most) = median(name);
        println!("{name:26} {ours:8.0} a second ({least:.0} to {most:.0}), {:.2} of the bare insert", ours / bare);
    }
}

/// A service with a database and a prefix of its own.
struct Lane {
    way: Way,
    service: Service,
    database: String,
    prefix: String,
}

impl Lane {
    fn start(way: Way, postgres: &PostgresServer, redis: &RedisServer) -> Result<Self> {
        let database = postgres.database()?;
        let prefix = format!("bench-{}", database.rsplit('/').next().context("the URL has a path")?);
        let options = Options::new()
            .env("TALLYHOUSE_DATABASE__URL", &database)
            .env("TALLYHOUSE_REDIS__URL", redis.url())
            .env("TALLYHOUSE_REDIS__PREFIX", &prefix);
        Ok(Self { way, service: Service::start_with(options), database, prefix })
    }

    /// Sends the month some times, and returns how long it took until everything was published.
    fn round(&self, redis: &RedisServer, month: &[Value], round: usize) -> Result<Duration> {
        let (_, door, with_key) = self.way;
        let copies = (0..MONTHS).flat_map(|copy| month.iter().map(move |record| (copy, record.clone())));
        let records: Vec<Value> = copies
            .enumerate()
            .map(|(n, (copy, mut record))| {
                record["recordId"] =
                    format!("{round}-{copy}-{}", record["recordId"].as_str().unwrap_or_default()).into();
                with_key(&mut record, round * MONTHS * month.len() + n);
                record
            })
            .collect();
        redis.reset_counts()?;
        let began = match door {
            Door::Ndjson => self.post(ndjson(&records))?,
            Door::List | Door::Stream => self.preload(redis, &records)?,
        };
        let mut connection = redis.connection()?;
        while published(&mut connection)? < records.len() {
            ensure!(began.elapsed() < PATIENCE, "the notifications do not come");
            sleep(Duration::from_millis(5));
        }
        Ok(began.elapsed())
    }

    /// Posts all lines in one request, and returns when it began.
    fn post(&self, lines: String) -> Result<Instant> {
        let http = self.service.http();
        let began = Instant::now();
        let counts = http.lines("?results=failed", lines);
        ensure!(counts.len() == 1 && counts[0]["duplicates"] == 0, "{counts:?}");
        Ok(began)
    }

    /// Fills the queue while the service is frozen, and returns when it was let go.
    fn preload(&self, redis: &RedisServer, records: &[Value]) -> Result<Instant> {
        signal("STOP", self.service.pid());
        let mut connection = redis.connection()?;
        for chunk in records.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for record in chunk {
                let record = record.to_string();
                match self.way.1 {
                    Door::Stream => {
                        let key = format!("{}:records:stream", self.prefix);
                        pipeline.cmd("XADD").arg(key).arg("*").arg("record").arg(record).ignore();
                    }
                    Door::List | Door::Ndjson => {
                        pipeline.cmd("LPUSH").arg(format!("{}:records", self.prefix)).arg(record).ignore();
                    }
                }
            }
            pipeline.exec(&mut connection)?;
        }
        let began = Instant::now();
        signal("CONT", self.service.pid());
        Ok(began)
    }

    /// Returns the rows of one round.
    fn rows(&self, round: usize) -> Result<Vec<Row>> {
        let mut connection = PgConnection::establish(&self.database)?;
        let rows: Vec<Row> = sql_query(SELECT).load(&mut connection)?;
        Ok(rows.into_iter().filter(|row| row.record_id.starts_with(&format!("{round}-"))).collect())
    }
}

/// Returns how many messages Redis was told to publish since its counts were set to zero.
fn published(connection: &mut redis::Connection) -> Result<usize> {
    let text: String = redis::cmd("INFO").arg("commandstats").query(connection)?;
    let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    let calls = line.and_then(|line| line.split(',').next()).map_or(Ok(0), str::parse)?;
    Ok(calls)
}

/// A row as the service has left it.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz)]
    time: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    processed_at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = BigInt)]
    slot: i64,
    #[diesel(sql_type = Bool)]
    positive: bool,
    #[diesel(sql_type = Text)]
    record_id: String,
    #[diesel(sql_type = Text)]
    source_id: String,
    #[diesel(sql_type = Text)]
    destination_id: String,
    #[diesel(sql_type = Text)]
    reference: String,
    #[diesel(sql_type = Text)]
    unit: String,
    #[diesel(sql_type = Numeric)]
    value: PgNumeric,
    #[diesel(sql_type = Nullable<Text>)]
    previous: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    alerts: Option<String>,
}

/// The columns of a batch.
#[derive(Default)]
struct Columns {
    times: Vec<PgTimestamp>,
    processed: Vec<PgTimestamp>,
    sequences: Vec<i64>,
    slots: Vec<i64>,
    positives: Vec<bool>,
    ids: Vec<String>,
    sources: Vec<String>,
    destinations: Vec<String>,
    references: Vec<String>,
    units: Vec<String>,
    values: Vec<PgNumeric>,
    previous: Vec<Option<String>>,
    alerts: Vec<Option<String>>,
}

impl Extend<Row> for Columns {
    fn extend<T: IntoIterator<Item = Row>>(&mut self, rows: T) {
        for row in rows {
            self.times.push(row.time);
            self.processed.push(row.processed_at);
            self.sequences.push(row.sequence);
            self.slots.push(row.slot);
            self.positives.push(row.positive);
            self.ids.push(row.record_id);
            self.sources.push(row.source_id);
            self.destinations.push(row.destination_id);
            self.references.push(row.reference);
            self.units.push(row.unit);
            self.values.push(row.value);
            self.previous.push(row.previous);
            self.alerts.push(row.alerts);
        }
    }
}

/// Inserts rows batch by batch, and returns how long it took.
fn insert(connection: &mut PgConnection, rows: Vec<Row>) -> Result<Duration> {
    let mut batches: Vec<Columns> = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut batch: Vec<Row> = rows.by_ref().take(BATCH).collect();
        // In the order of the index, as the service does.
        batch.sort_unstable_by(|a, b| a.record_id.cmp(&b.record_id));
        let mut columns = Columns::default();
        columns.extend(batch);
        batches.push(columns);
    }
    let began = Instant::now();
    for batch in &batches {
        let inserted = sql_query(INSERT)
            .bind::<Array<Timestamptz>, _>(&batch.times)
            .bind::<Array<Timestamptz>, _>(&batch.processed)
            .bind::<Array<BigInt>, _>(&batch.sequences)
            .bind::<Array<BigInt>, _>(&batch.slots)
            .bind::<Array<Bool>, _>(&batch.positives)
            .bind::<Array<Text>, _>(&batch.ids)
            .bind::<Array<Text>, _>(&batch.sources)
            .bind::<Array<Text>, _>(&batch.destinations)
            .bind::<Array<Text>, _>(&batch.references)
            .bind::<Array<Text>, _>(&batch.units)
            .bind::<Array<Numeric>, _>(&batch.values)
            .bind::<Array<Nullable<Text>>, _>(&batch.previous)
            .bind::<Array<Nullable<Text>>, _>(&batch.alerts)
            .execute(connection)?;
        ensure!(inserted == batch.ids.len(), "{inserted} rows instead of {}", batch.ids.len());
    }
    Ok(began.elapsed())
}
