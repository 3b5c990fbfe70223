//! Servers that fail: nothing acknowledged is lost, nothing good is refused, and all goes on by itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::Commands as _;
use serde_json::Value;
use tallyhouse_tests::clients::http::{Client, try_send};
use tallyhouse_tests::data::records::many;
use tallyhouse_tests::servers::fleet::{self, Fleet, PATIENCE};
use tallyhouse_tests::servers::service::Options;
use tallyhouse_tests::wait;

/// How long a server is unavailable.
const OUTAGE: Duration = Duration::from_secs(5);

/// Sends records one after the other to an instance, each until it is taken. Whatever else than success is answered
/// must be a `503` that says when to come again. Counts those that were taken, and the `503`s.
fn send_singly(http: &Client, records: &[Value], taken: &AtomicUsize, refused: &AtomicUsize) {
    for record in records {
        let sent = wait::within(PATIENCE, || {
            let request = http.request("POST", "/v1/records").header("content-type", "application/json");
            let answer = try_send(request.body(record.to_string())).expect("the service itself is never away");
            if [200, 201].contains(&answer.status) {
                taken.fetch_add(1, Ordering::Relaxed);
                return Some(());
            }
            let problem = answer.problem(503, "unavailable");
            assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{problem}");
            refused.fetch_add(1, Ordering::Relaxed);
            None
        });
        sent.expect("the record is taken in the end");
    }
}

/// Returns the ids of the messages in a stream of notifications.
fn ids_in_stream(fleet: &Fleet) -> BTreeSet<String> {
    let mut connection = fleet.redis.connection().expect("Redis answers");
    let entries: Vec<(String, Vec<(String, String)>)> =
        connection.xrange_all("tallyhouse:notifications:stream").expect("Redis answers");
    let id = |message: &str| serde_json::from_str::<Value>(message).expect("JSON")["id"].as_str().map(str::to_owned);
    entries.iter().flat_map(|(_, fields)| fields).map(|(_, message)| id(message).expect("an id")).collect()
}

#[test]
fn redis_outage_leaves_http_alone_and_afterwards_queues_and_messages_catch_up() {
    let mut fleet = Fleet::start_with(2, &Options::new().env("TALLYHOUSE_REDIS__DURABLE", "true"));
    let (queued, sent) = (many("queued", 2_000), many("sent", 2_000));
    fleet::push(&fleet.redis, &queued[..500]);
    fleet::add(&fleet.redis, &queued[500..1_000]);
    let clients = fleet.clients();
    fleet::send(&clients, &sent[..500]);

    fleet.redis.kill().expect("Redis can be killed");
    let stopped_at = Instant::now();
    let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut rest = sent[500..].chunks(50);
    while stopped_at.elapsed() < OUTAGE {
        let Some(part) = rest.next() else { break };
        // One by one, while the queues are down.
        send_singly(&clients[taken.load(Ordering::Relaxed) % 2], part, &taken, &refused);
    }
    let ready = clients[0].get("/readyz").expect_status(200);
    assert!(ready.text().to_lowercase().contains("degraded"), "{}", ready.text());
    std::thread::sleep(OUTAGE.saturating_sub(stopped_at.elapsed()));
    assert_eq!(refused.load(Ordering::Relaxed), 0, "HTTP does not need Redis");
    assert!(taken.load(Ordering::Relaxed) > 0);

    fleet.redis.restart().expect("Redis starts");
    rest.for_each(|part| fleet::send(&clients, part));
    fleet::push(&fleet.redis, &queued[1_000..1_500]);
    fleet::add(&fleet.redis, &queued[1_500..]);
    fleet.await_drained();
    // A group that is gone, as after a restart without persistence, is made again, and nothing is left out.
    fleet.cli(&["XGROUP", "DESTROY", fleet::STREAM, "tallyhouse"]);
    let after = many("after", 500);
    fleet::add(&fleet.redis, &after);
    fleet.await_drained();

    let records = [queued, sent, after].concat();
    fleet.check(&records);
    assert_eq!(fleet.dead_letters(), 0);
    let expected: BTreeSet<String> =
        records.iter().map(|record| record["recordId"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(ids_in_stream(&fleet), expected, "every message that was owed has gone out");
}

#[test]
fn a_group_that_is_destroyed_with_entries_in_flight_loses_nothing() {
    let fleet = Fleet::start(3);
    let records = many("group", 6_000);
    let done = AtomicBool::new(false);
    let destroyed = std::thread::scope(|scope| {
        let destroyer = scope.spawn(|| {
            let mut destroyed = 0;
            while !done.load(Ordering::Relaxed) {
                // There is none before the first consumer has made it.
                let answer = fleet.redis.cli(&["XGROUP", "DESTROY", fleet::STREAM, "tallyhouse"]);
                destroyed += usize::from(answer.is_ok_and(|answer| answer == "1"));
                std::thread::sleep(Duration::from_millis(300));
            }
            destroyed
        });
        records.chunks(500).for_each(|chunk| fleet::add(&fleet.redis, chunk));
        let is_stored = || fleet.psql("SELECT count(*) > 3000 FROM records") == "t";
        let half = wait::within(PATIENCE, || is_stored().then_some(()));
        done.store(true, Ordering::Relaxed);
        half.expect("half of the records are stored while groups are destroyed");
        destroyer.join().expect("it does not panic")
    });
    assert!(destroyed > 0, "no group was destroyed");
    fleet.await_drained();
    fleet.check(&records);
    assert_eq!(fleet.dead_letters(), 0);
}

#[test]
fn postgres_outage_is_a_503_with_a_time_and_nothing_acknowledged_or_queued_is_lost() {
    let mut fleet = Fleet::start(3);
    let subscriber = fleet.subscribe();
    let (single, batched, queued) = (many("single", 3_000), many("batched", 4_000), many("queued", 4_000));
    let clients = fleet.clients();
    let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let Fleet { postgres, redis, .. } = &mut fleet;
    let redis = &*redis;
    std::thread::scope(|scope| {
        for (client, records) in clients.iter().zip(single.chunks(1_000)) {
            scope.spawn(|| send_singly(client, records, &taken, &refused));
        }
        scope.spawn(|| fleet::send(&clients, &batched));
        scope.spawn(|| {
            for chunk in queued.chunks(400) {
                let (list, stream) = chunk.split_at(200);
                fleet::push(redis, list);
                fleet::add(redis, stream);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        wait::within(PATIENCE, || (taken.load(Ordering::Relaxed) > 100).then_some(())).expect("the load runs");
        postgres.stop().expect("Postgres stops");
        let stopped_at = Instant::now();
        wait::within(PATIENCE, || (refused.load(Ordering::Relaxed) > 0).then_some(())).expect("a write is refused");
        assert_eq!(clients[0].get("/readyz").status, 503);
        assert_eq!(clients[0].get("/healthz").status, 200);
        std::thread::sleep(OUTAGE.saturating_sub(stopped_at.elapsed()));
        postgres.resume().expect("Postgres starts");
    });
    println!("{} refusals", refused.load(Ordering::Relaxed));
    fleet.await_drained();
    let records = [single, batched, queued].concat();
    subscriber.await_ids(records.len(), PATIENCE);
    fleet.check(&records);
    assert_eq!(fleet.dead_letters(), 0);
    for client in &clients {
        wait::until("every instance is ready again", || (client.get("/readyz").status == 200).then_some(()));
    }
}
