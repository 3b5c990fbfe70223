//! How much a commit costs beside a bare loop of prepared inserts into the same table, in transactions of the same
//! size.
//!
//! `cargo run --release -p tallyhouse-sqlite --example commit_speed -- [RECORDS] [BATCH]`

#![expect(missing_docs, reason = "Diesel writes the columns of a table down as public types without")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tallyhouse_core::ports::{Batch, Clock, GroupPart, Owner, RecordReader as _, RecordRepository};
use tallyhouse_core::{Draft, Filter, GroupQuery, Record, RuleBook, Timestamp};

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tallyhouse_sqlite::{SqliteRepository, SqliteSettings};

type Failed = Box<dyn std::error::Error>;

/// As durable as the repository, and nothing else.
const PLAIN: &str = "PRAGMA synchronous = FULL";

/// All that the repository sets.
const TUNED: &str = "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8000";

diesel::table! {
    records (position) {
        position -> BigInt,
        record_id -> Text,
        time -> BigInt,
        source_id -> Text,
        destination_id -> Text,
        #[sql_name = "type"]
        record_type -> Text,
        value -> Text,
        unit -> Text,
        reference -> Text,
        sequence -> BigInt,
        processed_at -> BigInt,
        previous -> Nullable<Text>,
    }
}

/// A time of day that stands still: nothing here waits.
struct StoppedClock(Timestamp);

#[async_trait]
impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    let batch = arguments.next().map_or(Ok(1_000), |n| n.parse())?;
    for (name, keys, random) in
        [("300 keys, ids in order", 300, false), ("300 keys", 300, true), ("a key each", count, true)]
    {
        let records = records(count, keys, random)?;
        let folder = tempfile::tempdir()?;
        let plain = bare(&folder.path().join("plain.db"), &records, batch, PLAIN).await?;
        let tuned = bare(&folder.path().join("tuned.db"), &records, batch, TUNED).await?;
        let commits = commits(&folder.path().join("commits.db"), &records, batch).await?;
        let per_record = |took: Duration| took.as_secs_f64() * 1e6 / records.len() as f64;
        let (first, again, totals, listed) = commits;
        let (plain, tuned, first) = (per_record(plain), per_record(tuned), per_record(first));
        println!(
            "{name}: bare {plain:.2} µs, with the repository's pragmas {tuned:.2} µs; commit {first:.2} µs ({:.2} and {:.2} \
             of bare speed), again {:.2} µs; totals {:.2} µs, records {:.2} µs",
            plain / first,
            tuned / first,
            per_record(again),
            per_record(totals),
            per_record(listed)
        );
    }
    Ok(())
}

fn records(count: u64, keys: u64, random: bool) -> Result<Vec<Record>, Failed> {
    let record = |n: u64| -> Result<Record, Failed> {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let time = Timestamp::from_micros(1_357_000_000_000_000 + i64::try_from(n)? * 1_000_000).ok_or("the time")?;
        let draft = Draft {
            record_id: &if random { format!("{mixed:016x}-{n:08}") } else { format!("2013-01-01-{n:08}-EWR-IAH") },
            time: &time.to_string(),
            source_id: &format!("S{}", mixed % 16),
            destination_id: &format!("D{:03}", mixed % keys.div_ceil(3)),
            record_type: if mixed & 1 == 0 { "positive" } else { "negative" },
            value: &format!("{}", mixed % 500),
            unit: "minute",
            reference: ["EWR", "JFK", "LGA"][usize::try_from((mixed >> 20) % 3)?],
        };
        Ok(draft.check()?)
    };
    (0..count).map(record).collect()
}

async fn open(path: &Path) -> Result<SqliteRepository, Failed> {
    let now = Timestamp::parse("2026-01-01T00:00:00Z")?;
    let repository = SqliteRepository::open(SqliteSettings::at(path), Arc::new(StoppedClock(now))).await?;
    repository.migrate().await?;
    Ok(repository)
}

async fn bare(path: &Path, all: &[Record], batch: usize, pragmas: &str) -> Result<Duration, Failed> {
    drop(open(path).await?);
    let mut db = SqliteConnection::establish(&path.display().to_string())?;
    db.batch_execute(pragmas)?;
    let previous = r#"[1234,1357034400000000,1359034400000000,[["minute",617,"12345",617,"54321"]]]"#;
    let begun = Instant::now();
    let mut position = 0_i64;
    for some in all.chunks(batch) {
        db.immediate_transaction::<_, diesel::result::Error, _>(|db| {
            for record in some {
                position += 1;
                diesel::insert_into(records::table)
                    .values((
                        records::position.eq(position),
                        records::record_id.eq(record.record_id.as_str()),
                        records::time.eq(record.time.as_micros()),
                        records::source_id.eq(record.source_id.as_str()),
                        records::destination_id.eq(record.destination_id.as_str()),
                        records::record_type.eq(record.record_type.name()),
                        records::value.eq(record.value.to_string()),
                        records::unit.eq(record.unit.as_str()),
                        records::reference.eq(record.reference.as_str()),
                        records::sequence.eq(1_i64),
                        records::processed_at.eq(record.time.as_micros()),
                        records::previous.eq(previous),
                    ))
                    .execute(db)?;
            }
            Ok(())
        })?;
    }
    Ok(begun.elapsed())
}

async fn commits(
    path: &Path,
    all: &[Record],
    batch: usize,
) -> Result<(Duration, Duration, Duration, Duration), Failed> {
    let repository = open(path).await?;
    let first = commit_all(&repository, all, batch).await?;
    let again = commit_all(&repository, all, batch).await?;
    let totals = read(&repository, all, false).await?;
    let listed = read(&repository, all, true).await?;
    Ok((first, again, totals, listed))
}

async fn commit_all(repository: &SqliteRepository, all: &[Record], batch: usize) -> Result<Duration, Failed> {
    let rules = Arc::new(RuleBook::default());
    let batches: Vec<Batch> = all
        .chunks(batch)
        .map(|some| Batch {
            arrivals: some.iter().cloned().map(Into::into).collect(),
            rules: Arc::clone(&rules),
            now: Timestamp::MAX,
            owner: Some(Owner::new("me")),
            published: Vec::new(),
        })
        .collect();
    let begun = Instant::now();
    let mut owed = None;
    for mut batch in batches {
        batch.published.extend(owed);
        owed = repository.commit(batch).await?.entry.map(|owed| owed.id);
    }
    Ok(begun.elapsed())
}

async fn read(repository: &SqliteRepository, all: &[Record], records: bool) -> Result<Duration, Failed> {
    use futures::StreamExt as _;
    let begun = Instant::now();
    let mut groups =
        repository.groups(GroupQuery { filter: Filter::default(), records, ..GroupQuery::default() }).await?;
    let (mut counted, mut listed) = (0, 0);
    while let Some(part) = groups.parts.next().await {
        match part? {
            GroupPart::Group(_, summary) => counted += summary.count(),
            GroupPart::Records(records) => listed += records.len(),
        }
    }
    assert_eq!(counted, u64::try_from(all.len())?);
    assert_eq!(listed, if records { all.len() } else { 0 });
    Ok(begun.elapsed())
}
