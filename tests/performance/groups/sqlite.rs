//! `tallyhouse import` into SQLite, beside a bare loop that writes the same rows.
//!
//! The import is the whole process of the release binary, from its start to its end: reading, checking, looking up,
//! summing, writing. The bare loop gets the very rows that the import has left, in memory, and inserts them by one
//! prepared statement into the same tables with the same indexes, in transactions of the same sizes with the same
//! pragmas; it knows nothing of duplicates, sums or messages. At last, the peak memory of a much larger import.

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};
use serde_json::Value as Json;
use tallyhouse_tests::bench::processes::state_of;
use tallyhouse_tests::data::flights::month;
use tallyhouse_tests::folder::Folder;

use crate::figure::{PEAK, RATE};
use crate::kit::Kit;
use crate::rounds::{Group, Row};

/// Most memory that the larger import may take.
const PEAK_KIB_MAX: u64 = 150 * 1024;

/// What the service sets on the connection that writes.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
                       PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;";

/// Measures imports into SQLite.
pub(crate) fn sqlite(kit: &Kit) -> Result<Group> {
    let [records, many] = kit.scale.imported;
    let month = month();
    let folder = Folder::new();
    let mut input = BufWriter::new(fs::File::create(folder.path().join("in.ndjson"))?);
    write_records(&month, records, &mut input)?;
    input.into_inner()?.sync_all()?;

    let mut rows = ["bare: the same rows, one prepared statement", "tallyhouse import, the whole process"]
        .map(|name| Row { name: name.to_owned(), rounds: Vec::new(), ratios: Vec::new() });
    for round in 0..kit.scale.rounds {
        eprintln!("sqlite: round {} of {}", round + 1, kit.scale.rounds);
        let took = import(&folder)?;
        let left = Left::read(&folder.path().join("tallyhouse.db"))?;
        ensure!(left.records.len() == records, "{} records of {records}", left.records.len());
        remove(&folder, "tallyhouse.db")?;
        let bare = left.write(&folder.path().join("bare.db"))?;
        remove(&folder, "bare.db")?;
        for (row, took) in rows.iter_mut().zip([bare, took]) {
            row.rounds.push(vec![(RATE, records as f64 / took.as_secs_f64())]);
        }
    }
    let (peak, took) = peak_kib_of_many(&month, many, &folder)?;
    ensure!(peak <= PEAK_KIB_MAX, "importing {many} records took {} MiB of memory", peak / 1024);
    let figures = vec![(RATE, many as f64 / took.as_secs_f64()), (PEAK, peak as f64 / 1024.0)];
    let large =
        Row { name: format!("import of {many} records from a pipe"), rounds: vec![figures], ratios: Vec::new() };
    let [bare, import] = rows;
    let floor = Some(bare.name.clone());
    let what = format!("{records} records into a file of SQLite, every commit flushed");
    let mut group = Group { name: "sqlite", what, rows: vec![bare, import, large] };
    group.compare(&[None, floor, None])?;
    Ok(group)
}

/// Writes the month over and over, each time with other ids.
fn write_records(month: &[Json], records: usize, out: &mut impl std::io::Write) -> Result<()> {
    for (i, record) in month.iter().cycle().take(records).enumerate() {
        let mut record = record.clone();
        let id = record["recordId"].as_str().context("an id")?;
        record["recordId"] = Json::from(format!("{}-{id}", i / month.len()));
        serde_json::to_writer(&mut *out, &record)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Imports the file, and returns how long the process lived.
fn import(folder: &Folder) -> Result<Duration> {
    let mut command = folder.command();
    command.args(["import", "in.ndjson"]).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    ensure!(command.status()?.success(), "the import failed");
    Ok(began.elapsed())
}

/// What an import has left in its database.
struct Left {
    schema: Vec<String>,
    records: Vec<Vec<Value>>,
    summaries: Vec<Vec<Value>>,
    owed: Vec<Vec<Value>>,
    /// How many records each transaction wrote.
    batches: Vec<usize>,
}

impl Left {
    fn read(path: &Path) -> Result<Self> {
        let db = Connection::open(path)?;
        let mut statement = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN ('records', 'summaries', 'outbox') ORDER BY type = 'index'")?;
        let schema = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut statement = db.prepare("SELECT last - first + 1 FROM outbox ORDER BY first")?;
        let sizes = statement.query_map([], |row| row.get::<_, u32>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        let batches = sizes.into_iter().map(usize::try_from).collect::<Result<_, _>>()?;
        let table = |name: &str, order: &str| -> Result<Vec<Vec<Value>>> {
            let mut statement = db.prepare(&format!("SELECT * FROM {name} ORDER BY {order}"))?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect())?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        Ok(Self {
            schema,
            records: table("records", "position")?,
            summaries: table("summaries", "destination_id, reference")?,
            owed: table("outbox", "first")?,
            batches,
        })
    }

    /// Writes the same rows into a new database, and returns how long that took.
    fn write(&self, path: &Path) -> Result<Duration> {
        let began = Instant::now();
        let db = Connection::open(path)?;
        db.execute_batch(PRAGMAS)?;
        db.execute_batch(&self.schema.join(";"))?;
        let mut records = insert_into(&db, "records", &self.records)?;
        let mut at = 0;
        for batch in &self.batches {
            in_a_transaction(&db, &mut records, &self.records[at..at + batch])?;
            at += batch;
        }
        ensure!(at == self.records.len(), "every record belongs to a batch");
        in_a_transaction(&db, &mut insert_into(&db, "summaries", &self.summaries)?, &self.summaries)?;
        in_a_transaction(&db, &mut insert_into(&db, "outbox", &self.owed)?, &self.owed)?;
        drop(records);
        db.close().map_err(|(_, error)| error)?;
        Ok(began.elapsed())
    }
}

/// Prepares the insertion of such rows.
fn insert_into<'a>(db: &'a Connection, table: &str, rows: &[Vec<Value>]) -> Result<Statement<'a>> {
    let marks = vec!["?"; rows.first().map_or(1, Vec::len)].join(", ");
    Ok(db.prepare(&format!("INSERT INTO {table} VALUES ({marks})"))?)
}

fn in_a_transaction(db: &Connection, insert: &mut Statement<'_>, rows: &[Vec<Value>]) -> Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    for row in rows {
        insert.execute(params_from_iter(row))?;
    }
    Ok(db.execute_batch("COMMIT")?)
}

fn remove(folder: &Folder, name: &str) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let path = folder.path().join(format!("{name}{suffix}"));
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Imports records from a pipe, and returns the most memory that the process had, and how long it took.
fn peak_kib_of_many(month: &[Json], many: usize, folder: &Folder) -> Result<(u64, Duration)> {
    let mut command = folder.command();
    command.args(["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let pipe = BufWriter::new(child.stdin.take().context("standard input is a pipe")?);
    let peak = std::thread::scope(|scope| -> Result<u64> {
        let writer = scope.spawn(move || {
            let mut pipe = pipe;
            write_records(month, many, &mut pipe)
        });
        let peak = watch(&mut child)?;
        writer.join().expect("the writer does not panic")?;
        Ok(peak)
    })?;
    Ok((peak, began.elapsed()))
}

/// Reads the high-water mark of a process until it ends. The mark only rises, so that the last look before the end is
/// the one that counts.
fn watch(child: &mut Child) -> Result<u64> {
    let mut peak = 0;
    loop {
        peak = peak.max(state_of(child.id()).peak_kib);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the import failed");
            ensure!(peak > 0, "the memory of a process can be read on Linux only");
            return Ok(peak);
        }
        sleep(Duration::from_millis(10));
    }
}
