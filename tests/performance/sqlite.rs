//! Measures `tallyhouse import` into SQLite, beside a bare loop that writes the same rows.
//!
//! ```sh
//! cargo build --release -p tallyhouse && cargo run --release -p tallyhouse-tests --bin bench-sqlite
//! ```
//!
//! The import is the whole process of the release binary, from its start to its end: reading, checking, looking up,
//! summing, writing. The bare loop gets the very rows that the import has left, in memory, and inserts them by one prepared
//! statement into the same tables with the same indexes, in transactions of the same sizes with the same pragmas; it
//! knows nothing of duplicates, sums or messages. At last, the peak memory of an import of two million records.

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};
use serde_json::Value as Json;
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::month::month;

/// How often each is measured.
const ROUNDS: usize = 5;

/// How often the month is repeated, each time with other ids.
const MONTHS: usize = 8;

/// Records of the import whose memory is measured.
const MANY: usize = 2_000_000;

/// Most memory that it may take.
const PEAK_KIB_MAX: u64 = 150 * 1024;

/// What the service sets on the connection that writes.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
                       PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;";

fn main() -> Result<ExitCode> {
    let month = month();
    let folder = Folder::new();
    let mut input = BufWriter::new(fs::File::create(folder.path().join("in.ndjson"))?);
    write_records(&month, MONTHS * month.len(), &mut input)?;
    input.into_inner()?.sync_all()?;

    let (mut imports, mut bares, mut records, mut batches) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        imports.push(import(&folder)?);
        let left = Left::read(&folder.path().join("tallyhouse.db"))?;
        (records, batches) = (left.records.len(), left.batches.len());
        remove(&folder, "tallyhouse.db")?;
        bares.push(left.write(&folder.path().join("bare.db"))?);
        remove(&folder, "bare.db")?;
    }
    println!("{records} records in {batches} transactions, medians of {ROUNDS} rounds");
    let rate = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        let rates: Vec<String> =
            times.iter().map(|time| format!("{:.0}", records as f64 / time.as_secs_f64())).collect();
        (records as f64 / times[ROUNDS / 2].as_secs_f64(), rates.join(" "))
    };
    let ((import, every_import), (bare, every_bare)) = (rate(&mut imports), rate(&mut bares));
    println!("tallyhouse import  {import:>7.0} records/s  ({every_import})");
    println!("bare insert loop   {bare:>7.0} records/s  ({every_bare})");
    println!("ratio              {:>7.2}", import / bare);

    let (peak, took) = peak_kib_of_many(&month, &folder)?;
    println!("importing {MANY} records took {:.0} s and {} MB at most", took.as_secs_f64(), peak / 1024);
    Ok(if peak <= PEAK_KIB_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        let mut statement = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN ('records', 'summaries', 'owed') ORDER BY type = 'index'")?;
        let schema = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut statement = db.prepare("SELECT last - first + 1 FROM owed ORDER BY first")?;
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
            owed: table("owed", "first")?,
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
        in_a_transaction(&db, &mut insert_into(&db, "owed", &self.owed)?, &self.owed)?;
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

/// Imports two million records from a pipe, and returns the most memory that the process had, and how long it took.
fn peak_kib_of_many(month: &[Json], folder: &Folder) -> Result<(u64, Duration)> {
    let mut command = folder.command();
    command.args(["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let pipe = BufWriter::new(child.stdin.take().context("standard input is a pipe")?);
    let peak = std::thread::scope(|scope| -> Result<u64> {
        let writer = scope.spawn(move || {
            let mut pipe = pipe;
            write_records(month, MANY, &mut pipe)
        });
        let peak = watch(&mut child)?;
        writer.join().expect("the writer does not panic")?;
        Ok(peak)
    })?;
    Ok((peak, began.elapsed()))
}

/// Reads the high-water mark of a process until it ends. The mark only rises, so that the last look before the end is the
/// one that counts.
fn watch(child: &mut Child) -> Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.split_whitespace().next()).and_then(|kib| kib.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the import failed");
            ensure!(peak > 0, "the memory of a process can be read on Linux only");
            return Ok(peak);
        }
        sleep(Duration::from_millis(10));
    }
}
