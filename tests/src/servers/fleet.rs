//! Several instances of the real service on one Postgres and one Redis, and producers at all their ingresses.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::clients::http::{Client, try_send};
use crate::clients::subscriber::Subscriber;
use crate::data::invariants;
use crate::data::records::ndjson;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis_server::{RedisOptions, RedisServer};
use crate::servers::service::{Options, Service};
use crate::wait;

/// How long a fleet may need for all that it was given, beside other tests and unoptimised.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The list of records.
pub const LIST: &str = "tallyhouse:records";

/// The stream of records.
pub const STREAM: &str = "tallyhouse:records:stream";

/// How many records one command or request brings.
const CHUNK: usize = 250;

/// Instances and what they share.
#[derive(Debug)]
pub struct Fleet {
    /// The instances. They go before their servers do.
    pub instances: Vec<Service>,
    /// Their database server.
    pub postgres: PostgresServer,
    /// Their Redis. Its every write is on disk before it is answered.
    pub redis: RedisServer,
    database: String,
}

impl Fleet {
    /// Starts this many instances with the defaults.
    ///
    /// # Panics
    /// A server or an instance does not start.
    #[must_use]
    #[track_caller]
    pub fn start(instances: usize) -> Self {
        Self::start_with(instances, &Options::new())
    }

    /// Starts this many instances with these options.
    ///
    /// # Panics
    /// A server or an instance does not start.
    #[must_use]
    #[track_caller]
    pub fn start_with(instances: usize, options: &Options) -> Self {
        Self::start_on(RedisOptions { durable: true, ..RedisOptions::default() }, instances, options)
    }

    /// Starts a Redis with these options, and this many instances with those.
    ///
    /// # Panics
    /// A server or an instance does not start.
    #[must_use]
    #[track_caller]
    pub fn start_on(redis: RedisOptions, instances: usize, options: &Options) -> Self {
        let postgres = PostgresServer::start().expect("Postgres starts");
        let redis = RedisServer::start_with(redis).expect("Redis starts");
        let url = postgres.database().expect("a database can be made");
        let options = options.clone().env("TALLYHOUSE_DATABASE__URL", &url).env("TALLYHOUSE_REDIS__URL", redis.url());
        let database = url.rsplit('/').next().expect("the URL has a path").to_owned();
        // All at once, as a deployment starts them: only one of them may migrate.
        let instances = std::thread::scope(|scope| {
            let starting: Vec<_> =
                (0..instances).map(|_| scope.spawn(|| Service::start_with(options.clone()))).collect();
            starting.into_iter().map(|starting| starting.join().expect("an instance starts")).collect()
        });
        Self { instances, postgres, redis, database }
    }

    /// Returns the clients of all instances.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.instances.iter().map(Service::http).collect()
    }

    /// Runs SQL in the database of the instances.
    ///
    /// # Panics
    /// Postgres refuses.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.postgres.psql(&self.database, sql).expect("Postgres does it")
    }

    /// Runs `redis-cli`.
    ///
    /// # Panics
    /// Redis refuses.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> String {
        self.redis.cli(args).expect("Redis does it")
    }

    /// Subscribes to the notifications.
    ///
    /// # Panics
    /// Redis does not answer.
    #[must_use]
    #[track_caller]
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::of(&self.redis, &["tallyhouse:notifications"])
    }

    /// Says what is still in the queues: nothing, or which part holds how much.
    #[must_use]
    pub fn backlog(&self) -> Option<String> {
        backlog(&self.redis)
    }

    /// Waits until the queues hold nothing: no list, no processing list, no stream entry, none pending.
    ///
    /// # Panics
    /// They still do after [`PATIENCE`].
    #[track_caller]
    pub fn await_drained(&self) {
        if wait::within(PATIENCE, || self.backlog().is_none().then_some(())).is_none() {
            panic!("after {PATIENCE:?} there is still {}", self.backlog().unwrap_or_default());
        }
    }

    /// Waits until no message is owed any more, and checks that the first instance holds exactly these records with all
    /// that follows from them, see [`invariants::check`].
    ///
    /// # Panics
    /// Something is wrong, or messages stay owed.
    #[track_caller]
    pub fn check(&self, records: &[Value]) {
        let owed = || self.psql("SELECT count(*) FROM outbox");
        assert!(wait::within(PATIENCE, || (owed() == "0").then_some(())).is_some(), "{} batches stay owed", owed());
        invariants::check(&self.instances[0], records);
        let verified = self.instances[0].run(&["verify"]).ok().stdout;
        assert!(verified.contains("records in the outbox 0\n"), "{verified}");
        assert!(verified.contains(&format!("records {}", records.len())), "{verified}");
    }

    /// Returns how many dead letters there are.
    ///
    /// # Panics
    /// Redis does not answer.
    #[track_caller]
    pub fn dead_letters(&self) -> usize {
        self.cli(&["XLEN", "tallyhouse:dead-letters"]).parse().expect("a number")
    }
}

/// Says what is still in the queues of a Redis: nothing, or which part holds how much.
#[must_use]
pub fn backlog(redis: &RedisServer) -> Option<String> {
    let mut left = Vec::new();
    for (what, command) in [
        ("list", &["LLEN", LIST][..]),
        ("stream", &["XLEN", STREAM]),
        ("processing", &["KEYS", "tallyhouse:processing:*"]),
        ("groups", &["XINFO", "GROUPS", STREAM]),
    ] {
        let answer = redis.cli(command).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = answer.lines().collect();
        let is_empty = match what {
            "groups" => lines.windows(2).any(|pair| pair == ["pending", "0"]) || answer.contains("no such key"),
            _ => answer.is_empty() || answer == "0",
        };
        if !is_empty {
            left.push(format!("{what}: {answer}"));
        }
    }
    (!left.is_empty()).then(|| left.join("; "))
}

/// Sends records as NDJSON, chunk by chunk in turn to each of the clients. A chunk whose connection breaks, as when an
/// instance is killed, or that is refused by a `503`, goes to the next one.
///
/// # Panics
/// A chunk is never taken, or a record is not.
#[track_caller]
pub fn send(clients: &[Client], records: &[Value]) {
    for (n, chunk) in records.chunks(CHUNK).enumerate() {
        let mut turn = n;
        let counts = wait::within(PATIENCE, || {
            let client = &clients[turn % clients.len()];
            turn += 1;
            let request = client.request("POST", "/v1/records/batch?results=failed");
            let answer = try_send(request.header("content-type", "application/x-ndjson").body(ndjson(chunk))).ok()?;
            if answer.status == 503 {
                assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
                return None;
            }
            answer.expect_status(200).json_lines().pop()
        });
        let counts = counts.unwrap_or_else(|| panic!("no instance takes the records for {PATIENCE:?}"));
        let taken = ["processed", "duplicates"].map(|name| counts[name].as_u64().unwrap_or_default());
        assert_eq!(taken[0] + taken[1], chunk.len() as u64, "{counts}");
    }
}

/// Pushes records to the list.
///
/// # Panics
/// Redis refuses.
#[track_caller]
pub fn push(redis: &RedisServer, records: &[Value]) {
    let payloads: Vec<String> = records.iter().map(Value::to_string).collect();
    push_payloads(redis, payloads.iter().map(String::as_bytes));
}

/// Pushes payloads to the list.
///
/// # Panics
/// Redis refuses.
#[track_caller]
pub fn push_payloads<'a>(redis: &RedisServer, payloads: impl Iterator<Item = &'a [u8]>) {
    let payloads: Vec<&[u8]> = payloads.collect();
    let mut connection = redis.connection().expect("Redis answers");
    for chunk in payloads.chunks(CHUNK) {
        redis::cmd("LPUSH").arg(LIST).arg(chunk).exec(&mut connection).expect("Redis takes them");
    }
}

/// Adds records to the stream.
///
/// # Panics
/// Redis refuses.
#[track_caller]
pub fn add(redis: &RedisServer, records: &[Value]) {
    let payloads: Vec<String> = records.iter().map(Value::to_string).collect();
    add_payloads(redis, payloads.iter().map(|payload| ("record", payload.as_bytes())));
}

/// Adds entries of one field each to the stream.
///
/// # Panics
/// Redis refuses.
#[track_caller]
pub fn add_payloads<'a>(redis: &RedisServer, entries: impl Iterator<Item = (&'a str, &'a [u8])>) {
    let entries: Vec<(&str, &[u8])> = entries.collect();
    let mut connection = redis.connection().expect("Redis answers");
    for chunk in entries.chunks(CHUNK) {
        let mut pipeline = redis::pipe();
        for (field, value) in chunk {
            pipeline.cmd("XADD").arg(STREAM).arg("*").arg(field).arg(value).ignore();
        }
        pipeline.exec(&mut connection).expect("Redis takes them");
    }
}

/// Checks that messages are one for each id, apart from repeats to the letter, and returns how many repeats there were.
///
/// # Panics
/// Two messages of one id differ, or the ids are not as many as expected.
#[track_caller]
pub fn check_repeats(heard: &[(String, String)], ids: usize) -> usize {
    let distinct: BTreeSet<&str> = heard.iter().map(|(_, message)| message.as_str()).collect();
    let id = |message: &str| serde_json::from_str::<Value>(message).expect("JSON")["id"].to_string();
    let seen: BTreeSet<String> = distinct.iter().map(|message| id(message)).collect();
    assert_eq!((seen.len(), distinct.len()), (ids, ids), "a repeat is the same to the letter");
    heard.len() - ids
}

/// Puts a payload among the dead letters by hand, and returns the id of the letter.
///
/// # Panics
/// Redis does not answer.
#[must_use]
#[track_caller]
pub fn add_dead_letter(redis: &RedisServer, payload: &str) -> String {
    let at = "2026-01-01T00:00:00Z";
    let fields = ["payload", payload, "reason", "rejected", "detail", "by hand", "origin", "list", "at", at];
    let add: Vec<&str> = ["XADD", "tallyhouse:dead-letters", "*"].into_iter().chain(fields).collect();
    redis.cli(&add).expect("Redis answers").trim().to_owned()
}
