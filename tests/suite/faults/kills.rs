//! `kill -9` at random moments: nothing acknowledged is missing, nothing counts twice, and what is sent again heals the
//! rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Client, try_send};
use tallyhouse_tests::clients::lines;
use tallyhouse_tests::data::invariants;
use tallyhouse_tests::data::records::{many, ndjson};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::folder::{Folder, Running};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// How often each test kills.
const KILLS: usize = 6;

/// Returns a random part of a duration.
fn part_of(whole: Duration, seed: &mut Seed) -> Duration {
    whole.mul_f64(seed.below(1_000) as f64 / 1_000.0)
}

#[test]
fn an_import_that_is_killed_is_completed_by_another() {
    const RECORDS: usize = 20_000;
    let mut seed = Seed::draw();
    let records = many("k", RECORDS);
    let whole = Folder::new();
    whole.write("k.ndjson", ndjson(&records));
    let once = whole.run(&["import", "k.ndjson"]).ok();
    assert_eq!(once.counts(), [RECORDS as u64, 0, 0, 0]);

    let folder = Folder::new();
    folder.write("k.ndjson", ndjson(&records));
    for round in 1..=KILLS {
        let mut command = folder.command();
        command.args(["import", "-"]);
        // Every round has records that are new, and an input that does not end: what is killed is surely in flight.
        let part = ndjson(&records[..RECORDS * round / KILLS]);
        let import = Running::start_without_end(command, part.into());
        // Not a wait for something: the random moment itself.
        sleep(part_of(once.took, &mut seed));
        assert_eq!(import.kill().code, None, "it ended by itself");
        if has_schema(&folder) {
            folder.run(&["verify"]).ok();
        }
    }
    let last = folder.run(&["import", "k.ndjson"]).ok().counts();
    assert_eq!((last[0] + last[1], last[2], last[3]), (RECORDS as u64, 0, 0));
    let totals = |folder: &Folder| folder.run(&["aggregate", "--format", "json", "--records=false"]).ok().stdout;
    assert_eq!(totals(&folder), totals(&whole));
    let service = Service::start_in(folder.into(), Options::new());
    invariants::check(&service, &records);
}

/// Says whether an import came as far as to make the tables: one that was killed earlier has nothing to verify.
fn has_schema(folder: &Folder) -> bool {
    let path = folder.path().join("tallyhouse.db");
    let count = |db: &rusqlite::Connection| {
        db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'records'", [], |row| row.get::<_, u32>(0))
    };
    path.exists() && rusqlite::Connection::open(path).and_then(|db| count(&db)).expect("it is a database") == 1
}

/// What was acknowledged: the results by record id.
#[derive(Debug, Default)]
struct Acknowledged(Mutex<BTreeMap<String, Value>>);

impl Acknowledged {
    fn note(&self, result: &Value) {
        let outcome = result["outcome"].as_str().expect("an outcome");
        assert!(["processed", "duplicate"].contains(&outcome), "{result}");
        let id = result["recordId"].as_str().expect("an id").to_owned();
        let mut noted = self.0.lock().expect("nobody panics with the lock");
        let before = noted.entry(id).or_insert_with(|| result.clone());
        // A repeat tells the same sequence and the same moment as the first answer.
        for member in ["sequence", "processedAt"] {
            assert_eq!(before[member], result[member], "{before} {result}");
        }
    }

    fn len(&self) -> usize {
        self.0.lock().expect("nobody panics with the lock").len()
    }
}

/// What one sender sends in one round: first what is new, then, again and again, all that it may have sent before.
fn in_round(records: &[Value], round: usize) -> impl Iterator<Item = &Value> + Clone {
    let (old, new) = (records.len() * round / KILLS, records.len() * (round + 1) / KILLS);
    records[..new].iter().cycle().skip(old)
}

/// Sends records one by one until the service is gone.
fn send_singly<'a>(http: &Client, records: impl Iterator<Item = &'a Value>, acknowledged: &Acknowledged) {
    for record in records {
        let request = http.request("POST", "/v1/records").header("content-type", "application/json");
        let Ok(answer) = try_send(request.body(record.to_string())) else { return };
        assert!([200, 201].contains(&answer.status), "{}: {}", answer.status, answer.text());
        acknowledged.note(&answer.json());
    }
}

/// Sends records as JSON batches until the service is gone.
fn send_in_batches<'a>(http: &Client, mut records: impl Iterator<Item = &'a Value>, acknowledged: &Acknowledged) {
    loop {
        let chunk: Vec<&Value> = records.by_ref().take(37).collect();
        let request = http.request("POST", "/v1/records/batch").header("content-type", "application/json");
        let Ok(answer) = try_send(request.body(json!(chunk).to_string())) else { return };
        let answer = answer.expect_status(200).json();
        answer["results"].as_array().expect("a list").iter().for_each(|result| acknowledged.note(result));
    }
}

/// Sends records as NDJSON on one connection, reading as it sends, until the service is gone.
fn send_as_lines<'a>(
    address: SocketAddr,
    mut records: impl Iterator<Item = &'a Value> + Send,
    acknowledged: &Acknowledged,
) {
    let Ok(sender) = lines::try_open(address, "") else { return };
    std::thread::scope(|scope| {
        let mut sending = sender.sending_half().expect("one more descriptor");
        scope.spawn(move || while records.next().is_some_and(|record| sending.line(&record.to_string()).is_ok()) {});
        let Ok(mut results) = sender.results() else { return };
        while let Ok(Some(result)) = results.next_result() {
            acknowledged.note(&result);
        }
    });
}

#[test]
fn a_service_that_is_killed_has_everything_that_it_acknowledged() {
    let mut seed = Seed::draw();
    let records = many("k", 12_000);
    let (singles, rest) = records.split_at(1_500);
    let (batches, streamed) = rest.split_at(4_000);
    let acknowledged = Acknowledged::default();
    let mut service = Service::start();
    for round in 0..KILLS {
        let before = acknowledged.len();
        std::thread::scope(|scope| {
            let (one, other, address) = (service.http(), service.http(), service.address());
            let acknowledged = &acknowledged;
            scope.spawn(move || send_singly(&one, in_round(singles, round), acknowledged));
            scope.spawn(move || send_in_batches(&other, in_round(batches, round), acknowledged));
            scope.spawn(move || send_as_lines(address, in_round(streamed, round), acknowledged));
            wait::until("the first new answers", || (acknowledged.len() > before).then_some(()));
            // Not a wait for something: the random moment itself. The senders never come to an end before it.
            sleep(part_of(Duration::from_millis(1_000), &mut seed));
            service.kill();
        });
        service.restart();
        let http = service.http();
        let noted = acknowledged.0.lock().expect("nobody panics with the lock");
        let stored = http.get("/v1/aggregates").expect_status(200).json();
        let stored: BTreeMap<&str, &Value> = stored["groups"]
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|group| group["records"].as_array().expect("a list"))
            .map(|record| (record["recordId"].as_str().expect("an id"), record))
            .collect();
        for (id, result) in noted.iter() {
            let record = stored.get(id.as_str()).unwrap_or_else(|| panic!("{id} was acknowledged and is missing"));
            assert_eq!(record["sequence"], result["sequence"], "{id}");
            assert_eq!(record["processedAt"], result["processedAt"], "{id}");
        }
        service.run(&["verify"]).ok();
    }
    let counts = service.http().lines("?results=failed", ndjson(&records));
    let total = counts[0]["processed"].as_u64().expect("n") + counts[0]["duplicates"].as_u64().expect("n");
    assert_eq!((total, &counts[0]["conflicts"], &counts[0]["rejected"]), (12_000, &json!(0), &json!(0)));
    invariants::check(&service, &records);
}

#[test]
fn a_reader_resumes_behind_a_kill_without_a_gap() {
    let mut service = Service::start();
    let records = many("k", 600);
    let mut seen: Vec<String> = Vec::new();
    let mut last: Option<String> = None;
    for part in records.chunks(200) {
        let mut stream = tallyhouse_tests::clients::sse::Events::open(
            service.address(),
            &last.as_ref().map_or_else(
                || "/v1/notifications/stream?after=0".to_owned(),
                |_| "/v1/notifications/stream".to_owned(),
            ),
            last.as_deref(),
        );
        service.http().batch(part);
        let wanted = seen.len() + 150;
        let began = Instant::now();
        while seen.len() < wanted && began.elapsed() < wait::PATIENCE {
            let event = stream.next_event();
            seen.push(event.message()["id"].as_str().expect("an id").to_owned());
            last = Some(event.id);
        }
        service.kill();
        service.restart();
    }
    let mut stream =
        tallyhouse_tests::clients::sse::Events::open(service.address(), "/v1/notifications/stream", last.as_deref());
    while seen.len() < records.len() {
        seen.push(stream.next_event().message()["id"].as_str().expect("an id").to_owned());
    }
    let expected: Vec<&str> = records.iter().map(|record| record["recordId"].as_str().expect("an id")).collect();
    assert_eq!(seen, expected);
}
