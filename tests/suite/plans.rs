//! Every call of the API over a large table: what Postgres reads for it, counted by Postgres itself. However much is
//! stored, an answer costs what it holds, and a commit what it writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::ndjson;
use tallyhouse_tests::servers::postgres::{PostgresOptions, PostgresServer};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// Records of the large table. Any plan that reads all of it is far from those that read what they need.
const STORED: usize = 100_000;

/// Destinations, each with as many records.
const DESTINATIONS: usize = 100;

/// References, each in every destination.
const REFERENCES: usize = 10;

/// One of so many records raises an alert.
const ALERTING: usize = 500;

/// The tables that grow with what is stored. All others have a few rows, whatever is stored.
const GROWING: [&str; 5] = ["records", "summaries", "batches", "outbox", "roll_ups"];

/// Rows that lie in one page of a table: an index would cost as much.
const FEW: u64 = 50;

/// Records of one destination, and of a day in which as many lie as in any.
const OF_ONE: u64 = ALL / MANY;
const OF_A_DAY: u64 = ALL / (12 * 28);

/// As many as [`STORED`] and [`DESTINATIONS`].
const ALL: u64 = STORED as u64;
const MANY: u64 = DESTINATIONS as u64;

/// Records of one commit at most: few, so that there are many batches.
const PER_BATCH: u64 = 50;

fn stored(i: usize) -> Value {
    let value = if i.is_multiple_of(ALERTING) { 5_000 } else { i % 1_000 };
    // Every destination has records of every time, reference, source and type.
    let n = i / DESTINATIONS;
    let t = i * 7_919;
    json!({"recordId": format!("r-{i:06}"),
           "time": format!("2013-{:02}-{:02}T{:02}:{:02}:00Z", 1 + t % 12, 1 + t / 12 % 28, t / 336 % 24, t / 8_064 % 60),
           "sourceId": format!("S{}", n % 16), "destinationId": format!("D{:02}", i % DESTINATIONS),
           "type": (["positive", "negative"][n % 2]), "value": value.to_string(), "unit": "EUR",
           "reference": format!("R{}", n % REFERENCES)})
}

/// What Postgres read for a request.
#[derive(Debug, Default)]
struct Reading {
    /// Rows that were looked at, by table.
    rows: BTreeMap<String, u64>,
    /// The indexes that were used.
    indexes: BTreeSet<String>,
    /// Tables that were read as a whole.
    whole: BTreeSet<String>,
    /// Statements, those within functions, too.
    statements: usize,
}

impl Reading {
    /// Reads a log in which auto_explain has written every plan with what became of it.
    fn of(log: &str) -> Self {
        let mut reading = Self::default();
        let mut lines = log.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.ends_with("plan:") {
                continue;
            }
            let mut plan = String::new();
            while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
                plan.push_str(more);
            }
            let plan: Value = serde_json::from_str(&plan).expect("auto_explain writes JSON");
            reading.statements += 1;
            reading.add(&plan["Plan"]);
        }
        reading
    }

    /// Checks that no more rows were looked at, and that an index was among those used.
    #[track_caller]
    fn check(&self, what: &str, most: &[(&str, u64)], index: &str) {
        assert!(self.statements > 0, "{what}: no plan was written");
        assert!(self.whole.is_empty(), "{what} reads whole tables: {self:?}");
        for (table, most) in most {
            let rows = self.rows.get(*table).copied().unwrap_or(0);
            assert!(rows <= *most, "{what} looks at {rows} rows of {table}, and {most} would do: {self:?}");
        }
        assert!(self.indexes.contains(index), "{what} does without {index}: {self:?}");
    }

    fn add(&mut self, node: &Value) {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let rows = (number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck"))
            * number("Actual Loops");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
        let rows = rows.round() as u64;
        let table = node["Relation Name"].as_str().filter(|table| GROWING.contains(table));
        let scans = node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan"));
        if let (Some(table), true) = (table, scans && rows > 0) {
            *self.rows.entry(table.to_owned()).or_default() += rows;
            if node["Node Type"] == "Seq Scan" && rows > FEW {
                self.whole.insert(table.to_owned());
            }
        }
        if let (Some(index), true) = (node["Index Name"].as_str(), number("Actual Loops") > 0.0) {
            self.indexes.insert(index.to_owned());
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.add(inner);
        }
    }
}

/// A service over a large table, and a server that writes down what it does.
struct Large {
    postgres: PostgresServer,
    url: String,
    service: Service,
}

impl Large {
    fn fill() -> Self {
        let settings = [
            ("shared_preload_libraries", "auto_explain"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_timing", "off"),
            ("auto_explain.log_format", "json"),
            ("auto_explain.log_nested_statements", "on"),
            // What runs beside requests would be taken for theirs.
            ("autovacuum", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres =
            PostgresServer::start_with(PostgresOptions { fsync: false, settings }).expect("Postgres is installed");
        let url = postgres.database().expect("Postgres answers");
        let options = Options::new()
            .env("TALLYHOUSE_DATABASE__URL", url.clone())
            .env("TALLYHOUSE_ALERTS__THRESHOLD", "4000")
            .env("TALLYHOUSE_PIPELINE__BATCH_RECORDS_MAX", PER_BATCH.to_string());
        let service = Service::start_with(options);
        let records: Vec<Value> = (0..STORED).map(stored).collect();
        let counts = service.http().lines("?results=failed", ndjson(&records));
        assert_eq!(counts, [json!({"processed": STORED, "duplicates": 0, "conflicts": 0, "rejected": 0})]);
        let large = Self { postgres, url, service };
        wait::until("all is folded", || {
            large.psql("SELECT roll_up(100000)");
            let folded = "SELECT position = (SELECT max(last) FROM batches) FROM roll_up_position";
            (large.psql(folded) == "t").then_some(())
        });
        large.psql("VACUUM ANALYZE");
        large.psql("ALTER SYSTEM SET auto_explain.log_min_duration = 0");
        large.psql("SELECT pg_reload_conf()");
        wait::until("the server has read its settings", || {
            (large.psql("SHOW auto_explain.log_min_duration") == "0").then_some(())
        });
        large
    }

    fn psql(&self, sql: &str) -> String {
        let name = self.url.rsplit('/').next().expect("a name");
        self.postgres.psql(name, sql).expect("Postgres answers")
    }

    /// Returns what Postgres reads while something is asked.
    fn read_by<T>(&self, ask: impl FnOnce(&Client) -> T) -> (Reading, T) {
        let before = self.postgres.log().len();
        let answer = ask(&self.service.http());
        // A cursor's plan is written when its transaction ends, which may be after the answer has come.
        wait::until("no transaction is in flight", || {
            let running =
                "SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()";
            (self.psql(running) == "0").then_some(())
        });
        (Reading::of(&self.postgres.log().split_off(before)), answer)
    }
}

/// Records of a page, and the one after it that tells whether there are more.
const PAGE: u64 = 101;

/// The calls that read; the most records, roll-ups and summaries that Postgres may look at for each; an index that it
/// uses.
const READS: [(&str, u64, u64, u64, &str); 22] = [
    ("/v1/records/r-000777", 1, 0, 0, "records_pkey"),
    ("/v1/records", PAGE, 0, 0, "records_by_time"),
    ("/v1/records?destinationId=D07", PAGE, 0, 0, "records_by_destination"),
    ("/v1/records?start=2013-06-01T00:00:00Z&end=2013-07-01T00:00:00Z", PAGE, 0, 0, "records_by_time"),
    ("/v1/records?order=newest", PAGE, 0, 0, "records_by_time"),
    // What no index knows is looked for in the order of the answer: one of ten matches, one of sixteen. Twice as many,
    // as they don't come in turns.
    ("/v1/records?reference=R3", 2 * 10 * PAGE, 0, 0, "records_by_time"),
    ("/v1/records?sourceId=S3&type=negative&unit=EUR", 2 * 16 * PAGE, 0, 0, "records_by_time"),
    // The batches at both ends are read in part.
    ("/v1/notifications?after=50000", PAGE + 2 * PER_BATCH, 0, 0, "records_by_slot"),
    ("/v1/alerts?after=50000", PAGE, 0, 0, "records_alerting"),
    ("/v1/summaries/D07", 0, 0, 10, "summaries_pkey"),
    ("/v1/summaries/D07?reference=R3", 0, 0, 1, "summaries_pkey"),
    // A row of all of time for each destination and type.
    ("/v1/aggregates?records=false", 0, 2 * MANY, 0, "roll_ups_pkey"),
    // Twice: for the end of the page, and for the page.
    ("/v1/aggregates?records=false&limit=3", 0, 2 * MANY + 8, 0, "roll_ups_pkey"),
    ("/v1/aggregates?records=false&destinationId=D07&type=positive", 0, 2, 0, "roll_ups_by_destination"),
    // Nine months are 273 days, of which at most 62 are not within whole 32 days: far fewer rows than records.
    (
        "/v1/aggregates?records=false&start=2013-02-01T00:00:00Z&end=2013-11-01T00:00:00Z",
        0,
        80 * 2 * MANY,
        0,
        "roll_ups_pkey",
    ),
    // Beside them, the records of two days that are not whole.
    (
        "/v1/aggregates?records=false&start=2013-02-01T10:00:00Z&end=2013-11-01T12:00:00Z",
        3 * OF_A_DAY,
        80 * 2 * MANY,
        0,
        "records_by_time",
    ),
    // Roll-ups know no references: each record is looked at, and once.
    ("/v1/aggregates?records=false&reference=R3", ALL, 0, 0, "records_by_destination"),
    ("/v1/aggregates?destinationId=D07", OF_ONE, 2, 0, "records_by_destination"),
    ("/v1/aggregates?limit=1", OF_ONE, 2 * MANY + 4, 0, "records_by_destination"),
    ("/v1/aggregates", ALL, 2 * MANY, 0, "records_by_destination"),
    ("/v1/export", ALL + ALL / 10, 0, 0, "records_by_slot"),
    ("/v1/export?destinationId=D07", ALL + ALL / 10, 0, 0, "records_by_slot"),
];

#[test]
fn every_call_reads_what_it_answers() {
    let large = Large::fill();
    for (path, records, roll_ups, summaries, index) in READS {
        let (reading, _) = large.read_by(|http| http.get(path).expect_status(200));
        // The last record is part of every validator.
        reading.check(path, &[("records", records + 1), ("roll_ups", roll_ups), ("summaries", summaries)], index);
    }
    // A dry run looks at every record, page by page.
    let (reading, _) =
        large.read_by(|http| http.post("/v1/alert-rules/a/dry-run", r#"{"threshold":"4000"}"#).expect_status(200));
    reading.check("a dry run", &[("records", ALL + ALL / 5)], "records_by_slot");
}

#[test]
fn a_commit_reads_what_it_writes() {
    let large = Large::fill();
    let (reading, _) = large.read_by(|http| http.record(&stored(STORED)).expect_status(201));
    // The key is remembered, and its row written; the id is not looked up. The record may be folded at once.
    reading.check("a new record", &[("records", 1), ("summaries", 2), ("batches", 3)], "summaries_pkey");
    let (reading, _) = large.read_by(|http| http.record(&stored(5)).expect_status(200));
    // It is found by the index alone; then the key is locked, and both are read. The record before may be folded only now.
    reading.check("a duplicate", &[("records", 2), ("summaries", 3)], "records_pkey");
    let batch: Vec<Value> = (STORED + 1..=STORED + 1_000).map(stored).collect();
    let (reading, answer) = large.read_by(|http| http.batch(&batch));
    assert_eq!(answer["processed"], 1_000);
    // Postgres gives the rows of each loop, rounded: where all are folded at once, up to half a row more for each batch.
    let batches = 3 * 1_000 / PER_BATCH;
    reading.check(
        "a batch",
        &[("records", 1_000 + batches / 2), ("summaries", 2_000), ("batches", batches)],
        "summaries_pkey",
    );
}
