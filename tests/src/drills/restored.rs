//! SQLite goes back to an earlier copy under the running service, while Redis is unavailable.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use super::redis_outage::published;
use crate::data::invariants;
use crate::data::records::many;
use crate::servers::redis_server::RedisServer;
use crate::servers::service::{Options, Service};
use crate::wait;

/// How long all messages may take once Redis is back: longer than six leases, after which the relay looks for entries that
/// came back.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes the database back to a copy with the `.restore` of the SQLite shell: `records` were acknowledged since, and as
/// many new ones are afterwards. Returns what was seen.
///
/// # Panics
/// What the copy had or was acknowledged afterwards is missing or doubled; one of these is never published; a cursor of
/// the lost history is not refused.
#[must_use]
#[track_caller]
pub fn restored(records: usize) -> String {
    let mut redis = RedisServer::start_durable().expect("Redis starts");
    let options = Options::new().env("TALLYHOUSE_REDIS__URL", redis.url()).env("TALLYHOUSE_REDIS__DURABLE", "true");
    let service = Service::start_with(options);
    let http = service.http();
    let [kept, lost, new] = ["kept", "lost", "new"].map(|prefix| many(prefix, records));
    http.batch(&kept);
    let database = service.folder().path().join("tallyhouse.db");
    let copy = service.folder().path().join("copy.db");
    open(&database).execute("VACUUM INTO ?1", [copy.to_str().expect("a path of text")]).expect("it is copied");

    redis.kill().expect("Redis can be killed");
    http.batch(&lost);
    let last = invariants::catch_up(&http, "notifications", 1_000).pop().expect("there are messages");
    let cursor = last["position"].as_str().expect("a message has a position");
    restore(&copy, &database);
    for record in &new {
        assert_eq!(http.record(record).status, 201, "a restored database takes records");
    }
    http.get(&format!("/v1/notifications?after={cursor}")).problem(410, "history-changed");
    redis.restart().expect("Redis starts");
    let back = Instant::now();
    let owed = || open(&database).query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0));
    let published_all = || owed().is_ok_and(|owed| owed == 0).then(|| back.elapsed());
    let recovery = wait::within(PATIENCE, published_all).expect("nothing stays owed");

    let stored = [kept, new].concat();
    invariants::check(&service, &stored);
    let (published, repeats) = published(&redis);
    let id = |record: &Value| record["recordId"].as_str().expect("an id").to_owned();
    let unpublished: Vec<String> = stored.iter().map(id).filter(|id| !published.contains(id)).collect();
    assert!(unpublished.is_empty(), "{} are never published: {unpublished:?}", unpublished.len());
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("restored to {records} records; {records} lost with the history, and {records} new ones"));
    line(format!("lost otherwise 0, doubled 0; unpublished 0, repeats {repeats}"));
    line(format!("nothing owed {:.1} s after the return of Redis", recovery.as_secs_f64()));
    report
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("it can be opened");
    connection.busy_timeout(Duration::from_secs(10)).expect("a time-out can be set");
    connection
}

/// Writes the pages of a copy over those of the open database.
fn restore(copy: &Path, database: &Path) {
    let (source, mut target) = (open(copy), open(database));
    let backup = rusqlite::backup::Backup::new(&source, &mut target).expect("a restoration can begin");
    backup.run_to_completion(1_000, Duration::ZERO, None).expect("it is restored");
}
