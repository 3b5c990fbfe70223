//! Dependencies that fail without a word: frozen servers keep their connections open and answer nothing. What then
//! waits, for how long, what `/readyz` and the log say of it, and that all goes on by itself.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::{many, record};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::fleet::{self, Fleet, PATIENCE};
use tallyhouse_tests::servers::service::Service;
use tallyhouse_tests::wait;

/// How long a server is unavailable. Long enough that a log that repeats itself is told from one that does not.
const OUTAGE: Duration = Duration::from_secs(20);

/// A write is refused within this time of a freeze: a commit is waited for as long as `pipeline.ping_after_ms`, and a
/// question beside it as long again, four seconds together. The rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(10);

/// What has gone on is found to be back within this time.
const HEALED: Duration = Duration::from_secs(30);

/// Lines that a service may log about a server that is unavailable for less than a minute: that it fails, that a breaker
/// opens, and closes, for each of the four breakers; and a request that could not be served, every ten seconds.
const LINES_MAX: usize = 16;

fn ready(client: &Client) -> Value {
    client.get("/readyz").json()
}

#[track_caller]
fn await_breaker(client: &Client, name: &str, state: &str) -> Duration {
    let began = Instant::now();
    let seen = wait::within(PATIENCE, || (ready(client)["breakers"][name] == state).then_some(()));
    seen.unwrap_or_else(|| panic!("the breaker {name} never gets {state}: {}", ready(client)));
    began.elapsed()
}

/// The lines that a service logs while something runs.
fn lines_during(service: &Service, run: impl FnOnce()) -> Vec<String> {
    let before = service.log().lines().count();
    run();
    service.log().lines().skip(before).map(str::to_owned).collect()
}

#[track_caller]
fn check_refused(client: &Client, within: Duration) -> Duration {
    let began = Instant::now();
    let answer = client.record(&record("refused"));
    let took = began.elapsed();
    answer.problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()), "{}", answer.text());
    assert!(took < within, "a write was kept waiting for {took:?}");
    took
}

#[test]
fn a_frozen_database_is_noticed_in_seconds_and_used_again_as_soon_as_it_goes_on() {
    let fleet = Fleet::start(1);
    let (client, service) = (service_client(&fleet), &fleet.instances[0]);
    let subscriber = fleet.subscribe();
    let (before, queued) = (many("before", 20), many("queued", 200));
    fleet::send(std::slice::from_ref(&client), &before);

    let lines = lines_during(service, || {
        fleet.postgres.freeze();
        let noticed = check_refused(&client, NOTICED);
        fleet::push(&fleet.redis, &queued[..100]);
        fleet::add(&fleet.redis, &queued[100..]);
        let stopped_at = Instant::now();
        let mut slowest = Duration::ZERO;
        while stopped_at.elapsed() < OUTAGE {
            slowest = slowest.max(check_refused(&client, NOTICED));
            let unready = client.get("/readyz");
            let problem = unready.problem(503, "unavailable");
            assert_eq!(problem["dependencies"]["storage"], "down");
            assert_eq!(problem["breakers"]["storage"], "open");
            assert_eq!(client.get("/healthz").status, 200);
        }
        println!("frozen database: the first write was refused after {noticed:?}, later ones within {slowest:?}");
        fleet.postgres.thaw();
    });
    assert!(lines.len() <= LINES_MAX, "{} lines:\n{}", lines.len(), lines.join("\n"));

    let began = Instant::now();
    let back = wait::within(PATIENCE, || (client.record(&record("refused")).status != 503).then_some(()));
    back.expect("writes go on");
    println!("frozen database: the first write was taken {:?} after it went on", began.elapsed());
    assert!(began.elapsed() < HEALED, "{:?}", began.elapsed());
    fleet.await_drained();
    println!("frozen database: the queues were empty {:?} after it went on", began.elapsed());
    await_breaker(&client, "storage", "closed");
    assert_eq!(ready(&client)["status"], "ready");
    let all = [before, queued, vec![record("refused")]].concat();
    subscriber.await_ids(all.len(), PATIENCE);
    fleet.check(&all);
    assert_eq!(fleet.dead_letters(), 0);
}

#[test]
fn a_frozen_redis_holds_up_messages_and_queues_only_and_its_breakers_say_so() {
    let fleet = Fleet::start(1);
    let (client, service) = (service_client(&fleet), &fleet.instances[0]);
    let closed =
        json!({ "storage": "closed", "publishing": "closed", "queue-list": "closed", "queue-stream": "closed" });
    let up = ready(&client);
    assert_eq!((&up["status"], &up["breakers"]), (&json!("ready"), &closed));
    let (sent, queued) = (many("sent", 30_000), many("queued", 200));
    fleet::send(std::slice::from_ref(&client), &sent[..1_000]);

    let lines = lines_during(service, || {
        fleet.redis.freeze().expect("Redis runs");
        let stopped_at = Instant::now();
        fleet::send(std::slice::from_ref(&client), &sent[1_000..10_000]);
        for name in ["publishing", "queue-list", "queue-stream"] {
            await_breaker(&client, name, "open");
        }
        let noticed = stopped_at.elapsed();
        let memory = service.memory_kib();
        fleet::send(std::slice::from_ref(&client), &sent[10_000..]);
        let grown = service.memory_kib() - memory;
        println!(
            "frozen Redis: all breakers were open after {noticed:?}; 20,000 records later the memory had grown by {grown} KiB"
        );
        assert!(grown < 48 * 1024, "{grown} KiB");
        let degraded = ready(&client);
        assert_eq!((&degraded["status"], &degraded["breakers"]["storage"]), (&json!("degraded"), &json!("closed")));
        assert_eq!(degraded["dependencies"], json!({ "storage": "up", "redis": "down" }));
        std::thread::sleep(OUTAGE.saturating_sub(stopped_at.elapsed()));
        fleet.redis.thaw().expect("Redis runs");
    });
    assert!(lines.len() <= LINES_MAX, "{} lines:\n{}", lines.len(), lines.join("\n"));

    let began = Instant::now();
    for name in ["publishing", "queue-list", "queue-stream"] {
        let took = await_breaker(&client, name, "closed");
        println!("frozen Redis: {name} was closed {took:?} later");
    }
    assert!(began.elapsed() < HEALED, "{:?}", began.elapsed());
    fleet::push(&fleet.redis, &queued[..100]);
    fleet::add(&fleet.redis, &queued[100..]);
    fleet.await_drained();
    wait::until("every message to go out", || (fleet.psql("SELECT count(*) FROM outbox") == "0").then_some(()));
    fleet.check(&[sent, queued].concat());
    assert_eq!(fleet.dead_letters(), 0);
}

#[test]
fn servers_that_are_gone_and_come_back_are_logged_once_each_way() {
    let mut fleet = Fleet::start(1);
    let client = service_client(&fleet);
    fleet::send(std::slice::from_ref(&client), &many("before", 10));
    let changes = |lines: &[String]| -> BTreeSet<String> {
        let changed = lines.iter().filter(|line| line.contains("a circuit breaker has changed"));
        let events = changed.map(|line| serde_json::from_str::<Value>(line).expect("the log is JSON"));
        events
            .map(|event| {
                format!("{} {}", event["dependency"].as_str().unwrap_or("?"), event["state"].as_str().unwrap_or("?"))
            })
            .collect()
    };
    let before = fleet.instances[0].log().lines().count();
    let lines =
        |fleet: &Fleet| -> Vec<String> { fleet.instances[0].log().lines().skip(before).map(str::to_owned).collect() };

    fleet.redis.kill().expect("Redis can be killed");
    assert_eq!(client.record(&record("while-redis-is-gone")).status, 201);
    for name in ["publishing", "queue-list", "queue-stream"] {
        await_breaker(&client, name, "open");
    }
    std::thread::sleep(OUTAGE);
    fleet.redis.restart().expect("Redis starts");
    for name in ["publishing", "queue-list", "queue-stream"] {
        await_breaker(&client, name, "closed");
    }
    let each_way = |names: &[&str]| -> BTreeSet<String> {
        names.iter().flat_map(|name| [format!("{name} open"), format!("{name} closed")]).collect()
    };
    // A breaker shows that it has closed a moment before the log says so.
    let said = |fleet: &Fleet, from: usize, names: &[&str]| -> Vec<String> {
        let expected = each_way(names);
        let all_said = || (changes(&lines(fleet)[from..]) == expected).then_some(());
        let in_time = wait::within(PATIENCE, all_said);
        let said = lines(fleet).split_off(from);
        assert!(in_time.is_some(), "{:?} instead of {expected:?}", changes(&said));
        said
    };
    let of_redis = said(&fleet, 0, &["publishing", "queue-list", "queue-stream"]);
    assert!(of_redis.len() <= LINES_MAX, "{} lines:\n{}", of_redis.len(), of_redis.join("\n"));

    fleet.postgres.stop().expect("Postgres stops");
    // Nobody writes: the consumers ask before they take anything.
    await_breaker(&client, "storage", "open");
    std::thread::sleep(OUTAGE);
    fleet.postgres.resume().expect("Postgres starts");
    wait::within(PATIENCE, || (client.record(&record("r")).status < 300).then_some(())).expect("writes go on");
    await_breaker(&client, "storage", "closed");
    let of_postgres = said(&fleet, of_redis.len(), &["storage"]);
    assert!(of_postgres.len() <= LINES_MAX, "{} lines:\n{}", of_postgres.len(), of_postgres.join("\n"));
}

#[test]
fn a_start_on_a_database_that_accepts_and_never_answers_ends_with_an_error() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it is bound").port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/nothing");
    let began = Instant::now();
    let ran = Folder::new().run_with(&[("DATABASE_URL", &url)], &["migrate"], b"");
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("can't be used"), "{}", ran.stderr);
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
}

fn service_client(fleet: &Fleet) -> Client {
    fleet.instances[0].http()
}
