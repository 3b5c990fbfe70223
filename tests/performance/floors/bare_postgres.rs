//! Postgres without the service: the very rows that it leaves, written and read by whoever knows nothing of duplicates,
//! sums or messages.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use tallyhouse_tests::bench::measurements::Times;
use tallyhouse_tests::bench::world::World;
use tallyhouse_tests::folder::Folder;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

/// The table of records, its indexes and its neighbours, as the service makes them.
pub(crate) struct Bare {
    runtime: Runtime,
    url: String,
}

/// How one record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Single {
    /// Its row alone.
    Row,
    /// All rows that the service writes for it (the record, its key's summary, its batch, what is owed), in one
    /// statement: one round trip, the least that it can be.
    AllInOne,
    /// The same rows with a statement each, between `BEGIN` and `COMMIT`: six round trips.
    AllInTurn,
}

/// A row as the service has left it, with the summary of its key.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    time: SystemTime,
    processed_at: SystemTime,
    sequence: i64,
    slot: i64,
    positive: bool,
    record_id: String,
    source_id: String,
    destination_id: String,
    reference: String,
    unit: String,
    value: String,
    previous: Option<String>,
    alerts: Option<String>,
    summary: String,
}

/// The next number of a row that is written once more with another id.
static NEXT: AtomicU64 = AtomicU64::new(1);

const COLUMNS: &str =
    "time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, reference, unit,
    value, previous, alerts";

const INSERT: &str =
    "INSERT INTO records (time, processed_at, sequence, slot, positive, record_id, source_id, destination_id,
    reference, unit, value, previous, alerts)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::numeric, $12, $13)";

const INSERT_MANY: &str = "SELECT * FROM unnest($1::timestamptz[], $2::timestamptz[], $3::bigint[], $4::bigint[],
    $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
    AS n (time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, reference, unit, value, previous, alerts)";

const SUMMARY: &str = "INSERT INTO summaries (destination_id, reference, summary) VALUES ($1, $2, $3)
    ON CONFLICT (destination_id, reference) DO UPDATE SET summary = excluded.summary";

const BATCH: &str = "INSERT INTO batches (last, first, slot, alerting) VALUES ($1, $1, $1, false)";

const OWED: &str = "INSERT INTO outbox (first, last, nonce, processed_at, owner) VALUES ($1, $1, 0, $2, 'bench')";

/// What one connection prepares.
struct Prepared {
    client: Client,
    single: Single,
    statements: Vec<tokio_postgres::Statement>,
}

impl Bare {
    /// Makes a database with the service's tables.
    pub(crate) fn create(world: &World) -> Result<Self> {
        let url = world.postgres.database()?;
        Folder::new().run_with(&[("TALLYHOUSE_DATABASE__URL", &url)], &["migrate"], b"").ok();
        Self::on(&url)
    }

    /// Uses a database that is there.
    pub(crate) fn on(url: &str) -> Result<Self> {
        Ok(Self { runtime: Builder::new_current_thread().enable_all().build()?, url: url.to_owned() })
    }

    /// Returns rows of records, each with the summary of its key, in the order in which they were stored.
    pub(crate) fn rows(&self, condition: &str) -> Result<Vec<Row>> {
        let sql = format!(
            "SELECT r.time, r.processed_at, r.sequence, r.positive, r.record_id, r.source_id, r.destination_id, r.reference,
             r.unit, r.value::text, r.previous, r.alerts, s.summary, r.slot
             FROM records r JOIN summaries s USING (destination_id, reference) WHERE {condition} ORDER BY r.slot"
        );
        self.runtime.block_on(async {
            let client = connect(&self.url).await?;
            let rows = client.query(&sql, &[]).await?;
            rows.iter().map(|row| Row::from_sql(row).context("a row of records")).collect()
        })
    }

    /// Runs SQL that returns nothing.
    pub(crate) fn execute(&self, sql: &str) -> Result<()> {
        self.runtime.block_on(async { Ok(connect(&self.url).await?.batch_execute(sql).await?) })
    }

    /// Runs a query and returns how many rows it has.
    pub(crate) fn count_rows(&self, sql: &str) -> Result<usize> {
        self.runtime.block_on(async { Ok(connect(&self.url).await?.query(sql, &[]).await?.len()) })
    }

    /// Writes records for a while, one a transaction, on this many connections, each its next one as soon as the last
    /// is committed. Returns how many, in which time, and how long each took.
    pub(crate) fn singles(&self, single: Single, rows: &[Row], connections: usize, lasts: Duration) -> Result<Written> {
        self.runtime.block_on(async {
            let opening = (0..connections).map(|_| Prepared::open(&self.url, single));
            let prepared = try_join_all(opening).await?;
            let began = Instant::now();
            let all =
                try_join_all(prepared.iter().map(|connection| connection.write_until(rows, began + lasts))).await?;
            let mut times = Times::default();
            all.iter().for_each(|part| times.join(part));
            Ok(Written { records: times.count(), took: began.elapsed(), times })
        })
    }

    /// Writes rows, `batch` of them in a statement and a transaction, with other ids or with their own. Returns how
    /// long it took.
    pub(crate) fn many(&self, table: &str, rows: &[Row], batch: usize, renamed: bool) -> Result<Duration> {
        let batches: Vec<Columns> = rows.chunks(batch).map(|rows| Columns::of(rows, renamed)).collect();
        let insert = format!("INSERT INTO {table} ({COLUMNS}) {}", INSERT_MANY.replace('*', SELECTED));
        self.runtime.block_on(async {
            let client = connect(&self.url).await?;
            let statement = client.prepare(&insert).await?;
            let began = Instant::now();
            for columns in &batches {
                let inserted = client.execute(&statement, &columns.parameters()).await?;
                ensure!(inserted == columns.ids.len() as u64, "{inserted} rows instead of {}", columns.ids.len());
            }
            Ok(began.elapsed())
        })
    }

    /// Copies what a query returns to this side, and returns its bytes and how long it took.
    pub(crate) fn copy_out(&self, query: &str) -> Result<(u64, Duration)> {
        self.runtime.block_on(async {
            let client = connect(&self.url).await?;
            let began = Instant::now();
            let mut copied = pin!(client.copy_out(&format!("COPY ({query}) TO STDOUT")).await?);
            let mut bytes = 0;
            while let Some(piece) = copied.try_next().await? {
                bytes += piece.len() as u64;
            }
            Ok((bytes, began.elapsed()))
        })
    }
}

/// What the list of columns is selected as: values come as text, as in the service's own statement.
const SELECTED: &str =
    "time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, reference, unit,
    value::numeric, previous, alerts";

/// What single writes came to.
pub(crate) struct Written {
    pub(crate) records: u64,
    pub(crate) took: Duration,
    pub(crate) times: Times,
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends when the client is dropped; where it broke, the client's calls say so.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

impl Prepared {
    async fn open(url: &str, single: Single) -> Result<Self> {
        let client = connect(url).await?;
        // The same statements, whose parameters are those of the record's row, and the summary behind them.
        let summary = SUMMARY.replace("$3", "$14").replace("$2", "$9").replace("$1,", "$8,");
        let (batch, owed) = (BATCH.replace("$1", "$4"), OWED.replace("$1", "$4"));
        let all_in_one = format!("WITH r AS ({INSERT}), s AS ({summary}), b AS ({batch}) {owed}");
        let texts = match single {
            Single::Row => vec![INSERT],
            Single::AllInOne => vec![all_in_one.as_str()],
            Single::AllInTurn => vec!["BEGIN", INSERT, SUMMARY, BATCH, OWED, "COMMIT"],
        };
        let statements = try_join_all(texts.into_iter().map(|text| client.prepare(text))).await?;
        Ok(Self { client, single, statements })
    }

    async fn write_until(&self, rows: &[Row], end: Instant) -> Result<Times> {
        let mut times = Times::default();
        while Instant::now() < end {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let row = &rows[usize::try_from(n % rows.len() as u64)?];
            let began = Instant::now();
            self.write(row, n).await?;
            times.add(began.elapsed());
        }
        Ok(times)
    }

    async fn write(&self, row: &Row, n: u64) -> Result<()> {
        let (id, slot) = (row.id(n), i64::try_from(n)?);
        let mut record: Vec<&(dyn ToSql + Sync)> = vec![
            &row.time,
            &row.processed_at,
            &row.sequence,
            &slot,
            &row.positive,
            &id,
            &row.source_id,
            &row.destination_id,
            &row.reference,
            &row.unit,
            &row.value,
            &row.previous,
            &row.alerts,
        ];
        let key: [&(dyn ToSql + Sync); 3] = [&row.destination_id, &row.reference, &row.summary];
        let owed: [&(dyn ToSql + Sync); 2] = [&slot, &row.processed_at];
        let parameters: Vec<&[&(dyn ToSql + Sync)]> = match self.single {
            Single::Row => vec![&record],
            Single::AllInOne => {
                record.push(&row.summary);
                vec![&record]
            }
            Single::AllInTurn => vec![&[], &record, &key, &owed[..1], &owed, &[]],
        };
        for (statement, parameters) in self.statements.iter().zip(parameters) {
            self.client.execute(statement, parameters).await?;
        }
        Ok(())
    }
}

impl Row {
    fn from_sql(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            time: row.try_get(0)?,
            processed_at: row.try_get(1)?,
            sequence: row.try_get(2)?,
            positive: row.try_get(3)?,
            record_id: row.try_get(4)?,
            source_id: row.try_get(5)?,
            destination_id: row.try_get(6)?,
            reference: row.try_get(7)?,
            unit: row.try_get(8)?,
            value: row.try_get(9)?,
            previous: row.try_get(10)?,
            alerts: row.try_get(11)?,
            summary: row.try_get(12)?,
            slot: row.try_get(13)?,
        })
    }

    /// Returns the id with another number before it, as long as it was.
    fn id(&self, n: u64) -> String {
        format!("{n:016x}{}", self.record_id.get(16..).unwrap_or_default())
    }
}

/// The columns of a batch.
#[derive(Default)]
struct Columns {
    times: Vec<SystemTime>,
    processed: Vec<SystemTime>,
    sequences: Vec<i64>,
    slots: Vec<i64>,
    positives: Vec<bool>,
    ids: Vec<String>,
    sources: Vec<String>,
    destinations: Vec<String>,
    references: Vec<String>,
    units: Vec<String>,
    values: Vec<String>,
    previous: Vec<Option<String>>,
    alerts: Vec<Option<String>>,
}

impl Columns {
    /// In the order of the ids within a batch, as the service writes them.
    fn of(rows: &[Row], renamed: bool) -> Self {
        let mut rows = rows.to_vec();
        if renamed {
            let first = NEXT.fetch_add(rows.len() as u64, Ordering::Relaxed);
            for (row, n) in rows.iter_mut().zip(first..) {
                row.record_id = row.id(n);
                row.slot = i64::try_from(n).expect("fewer than 2^63 rows");
            }
        }
        rows.sort_unstable_by(|a, b| a.record_id.cmp(&b.record_id));
        let mut columns = Self::default();
        for row in rows {
            columns.ids.push(row.record_id);
            columns.slots.push(row.slot);
            columns.times.push(row.time);
            columns.processed.push(row.processed_at);
            columns.sequences.push(row.sequence);
            columns.positives.push(row.positive);
            columns.sources.push(row.source_id);
            columns.destinations.push(row.destination_id);
            columns.references.push(row.reference);
            columns.units.push(row.unit);
            columns.values.push(row.value);
            columns.previous.push(row.previous);
            columns.alerts.push(row.alerts);
        }
        columns
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 13] {
        [
            &self.times,
            &self.processed,
            &self.sequences,
            &self.slots,
            &self.positives,
            &self.ids,
            &self.sources,
            &self.destinations,
            &self.references,
            &self.units,
            &self.values,
            &self.previous,
            &self.alerts,
        ]
    }
}

/// Rows that many ways share.
pub(crate) type Rows = Arc<[Row]>;
