//! Tests of the list source alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{Connection, cmd};
use tallyhouse_core::ports::{Disposition, RecordSource};
use tallyhouse_redis::{RedisClient, RedisSettings};
use tallyhouse_tests::servers::redis_server::RedisServer;

use crate::{ack, list_source, open, payloads, quick, receive, shared_server, until};

/// A list under a prefix of its own.
struct List {
    client: RedisClient,
    prefix: String,
    connection: Connection,
}

impl List {
    fn fresh() -> Self {
        Self::on(shared_server(), quick(&shared_server().url()))
    }

    fn on(server: &RedisServer, settings: RedisSettings) -> Self {
        let prefix = settings.prefix.clone();
        Self { client: open(settings), prefix, connection: server.connection().unwrap() }
    }

    fn push(&mut self, payloads: &[String]) {
        cmd("LPUSH").arg(format!("{}:records", self.prefix)).arg(payloads).exec(&mut self.connection).unwrap();
    }

    fn consumers_key(&self) -> String {
        format!("{0}:consumers:{{{0}:records}}", self.prefix)
    }

    fn consumers(&mut self) -> Vec<String> {
        cmd("ZRANGE").arg(self.consumers_key()).arg(0).arg(-1).query(&mut self.connection).unwrap()
    }

    fn processing_key(&self, consumer: &str) -> String {
        format!("{0}:processing:{{{0}:records}}:{consumer}", self.prefix)
    }

    async fn kept(&self) -> (u64, u64) {
        let figures = self.client.queues().await.unwrap();
        (figures.list, figures.processing)
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p-{n}")).collect()
}

#[tokio::test]
async fn equal_payloads_are_acknowledged_one_by_one() {
    let mut list = List::fresh();
    list.push(&vec!["same".to_owned(); 50]);
    let source = list_source(&list.client);
    let deliveries = receive(&source, 30).await;
    assert_eq!(list.kept().await, (20, 30));
    ack(&source, &deliveries[..10], &Disposition::Ack).await;
    assert_eq!(list.kept().await, (20, 20));
    ack(&source, &deliveries[10..15], &Disposition::Nack).await;
    assert_eq!(list.kept().await, (25, 15));
    ack(&source, &deliveries, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (25, 0));
    ack(&source, &receive(&source, 25).await, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 0));
}

#[tokio::test]
async fn nacked_and_requeued_elements_come_next_in_their_order() {
    let mut list = List::fresh();
    list.push(&numbered(9));
    let (dying, other) = (list_source(&list.client), list_source(&list.client));
    let deliveries = receive(&dying, 6).await;
    ack(&dying, &deliveries[3..], &Disposition::Nack).await;
    let again = receive(&dying, 3).await;
    assert_eq!(payloads(&again), ["p-3", "p-4", "p-5"]);
    drop(dying);
    let mut connection = shared_server().connection().unwrap();
    let key = format!("{}:records", list.prefix);
    // The heartbeat of the other consumer requeues them.
    let one = receive(&other, 1).await;
    until("all others are back", async || cmd("LLEN").arg(&key).query::<u64>(&mut connection).unwrap() == 8).await;
    assert_eq!(payloads(&one), ["p-6"]);
    let rest = receive(&other, 8).await;
    assert_eq!(payloads(&rest), ["p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-7", "p-8"]);
}

#[tokio::test]
async fn a_lease_that_ends_later_than_any_can_has_expired() {
    let mut list = List::fresh();
    list.push(&numbered(3));
    let (dead, other) = (list_source(&list.client), list_source(&list.client));
    assert_eq!(receive(&dead, 3).await.len(), 3);
    let name = list.consumers().pop().unwrap();
    drop(dead);
    // As if the server's clock had gone back by a day since.
    cmd("ZINCRBY").arg(list.consumers_key()).arg(86_400_000).arg(&name).exec(&mut list.connection).unwrap();
    assert_eq!(payloads(&receive(&other, 3).await), numbered(3));
}

#[tokio::test]
async fn a_slow_consumer_keeps_its_elements() {
    let mut list = List::fresh();
    list.push(&numbered(3));
    let (slow, other) = (list_source(&list.client), list_source(&list.client));
    let deliveries = receive(&slow, 3).await;
    for _ in 0..30 {
        assert_eq!(other.receive(10).await.unwrap(), []);
    }
    ack(&slow, &deliveries, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 0));
}

#[tokio::test]
async fn a_consumer_that_goes_on_after_its_lease_has_expired_does_no_harm() {
    let mut list = List::fresh();
    list.push(&numbered(4));
    let (expired, other) = (list_source(&list.client), list_source(&list.client));
    let stale = receive(&expired, 4).await;
    let name = list.consumers().pop().unwrap();
    assert_eq!(list.kept().await, (0, 4));
    // As if its lease had expired, and another consumer had requeued its elements.
    let (processing, records) = (list.processing_key(&name), format!("{}:records", list.prefix));
    for _ in 0..4 {
        cmd("LMOVE").arg(&processing).arg(&records).arg("LEFT").arg("RIGHT").exec(&mut list.connection).unwrap();
    }
    cmd("ZADD").arg(list.consumers_key()).arg(-1).arg(&name).exec(&mut list.connection).unwrap();
    let taken = receive(&other, 4).await;
    assert_eq!(payloads(&taken), numbered(4));
    ack(&expired, &stale, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 4), "the other consumer's elements stay");
    // A move of the expired consumer that was in flight all the time still adds to the old list.
    cmd("LPUSH").arg(&processing).arg("late").exec(&mut list.connection).unwrap();
    let late = tokio::join!(receive(&expired, 1), async { ack(&other, &taken, &Disposition::Ack).await }).0;
    assert_eq!(payloads(&late), ["late"]);
    ack(&expired, &late, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 0));
    assert!(list.consumers().iter().filter(|other| **other != name).count() >= 2, "it has a new name");
}

#[tokio::test]
async fn an_element_whose_move_was_not_confirmed_is_received_soon() {
    let mut list = List::fresh();
    let source = list_source(&list.client);
    list.push(&["first".to_owned()]);
    let first = receive(&source, 1).await;
    let name = list.consumers().pop().unwrap();
    cmd("LPUSH").arg(list.processing_key(&name)).arg("stray").exec(&mut list.connection).unwrap();
    let stray = receive(&source, 1).await;
    assert_eq!(payloads(&stray), ["stray"]);
    assert_eq!(list.kept().await, (0, 2), "an element in flight stays where it is");
    ack(&source, &[first, stray].concat(), &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 0));
}

#[tokio::test]
async fn the_elements_of_an_unregistered_consumer_are_received() {
    let settings = RedisSettings { prefix: "a*[b]?".to_owned(), ..quick(&shared_server().url()) };
    let mut list = List::on(shared_server(), settings);
    for n in 0..3 {
        cmd("LPUSH")
            .arg(list.processing_key(&format!("stranger-{n}")))
            .arg(format!("p-{n}"))
            .exec(&mut list.connection)
            .unwrap();
    }
    // More keys than one SCAN looks at.
    let others: Vec<(String, u32)> = (0..3000).map(|n| (format!("others:{n}"), n)).collect();
    cmd("MSET").arg(&others).exec(&mut list.connection).unwrap();
    cmd("SET").arg(list.processing_key("text")).arg("no list").exec(&mut list.connection).unwrap();
    let source = list_source(&list.client);
    let mut found = receive(&source, 3).await;
    found.sort_by_key(|delivery| delivery.payload.clone().ok());
    assert_eq!(payloads(&found), numbered(3));
    ack(&source, &found, &Disposition::Ack).await;
    assert_eq!(list.kept().await, (0, 0));
    assert!(!list.consumers().contains(&"text".to_owned()), "a key that is no list is no orphan");
}

#[tokio::test]
async fn a_server_that_loses_the_registrations_loses_no_element() {
    let mut list = List::fresh();
    list.push(&numbered(3));
    let (dying, living) = (list_source(&list.client), list_source(&list.client));
    receive(&dying, 2).await;
    let held = receive(&living, 1).await;
    drop(dying);
    cmd("DEL").arg(list.consumers_key()).exec(&mut list.connection).unwrap();
    // The living consumer notices it over its connection. Its own element comes again too, unless it was acknowledged.
    ack(&living, &held, &Disposition::Ack).await;
    let mut found = BTreeSet::new();
    while found.len() < 2 {
        found.extend(payloads(&receive(&living, 1).await));
    }
    assert_eq!(found, BTreeSet::from(["p-0".to_owned(), "p-1".to_owned()]));
}

#[tokio::test]
async fn consumers_that_are_gone_are_unregistered() {
    let settings = RedisSettings { lease: Duration::from_millis(150), ..quick(&shared_server().url()) };
    let mut list = List::on(shared_server(), settings);
    for _ in 0..3 {
        assert_eq!(list_source(&list.client).receive(1).await.unwrap(), []);
    }
    let source = Arc::new(list_source(&list.client));
    let _idle = source.receive(1).await.unwrap();
    assert_eq!(list.consumers().len(), 4);
    until("only the living consumer is left", async || list.consumers().len() == 1).await;
}

#[tokio::test]
async fn ten_thousand_elements_take_few_round_trips() {
    let server = RedisServer::start().unwrap();
    let mut list = List::on(&server, RedisSettings::new(&server.url()));
    list.push(&numbered(10_000));
    server.reset_counts().unwrap();
    let source = list_source(&list.client);
    let mut received = Vec::new();
    while received.len() < 10_000 {
        let deliveries = source.receive(1000).await.unwrap();
        ack(&source, &deliveries, &Disposition::Ack).await;
        received.extend(payloads(&deliveries));
    }
    assert_eq!(received, numbered(10_000));
    let counts = server.counts().unwrap();
    let trips: u64 = ["blmove", "eval", "evalsha"].iter().filter_map(|name| counts.get(*name)).sum();
    assert!(trips <= 30, "ten moves and ten removals, and what comes with the start: {counts:?}");
}

#[tokio::test]
async fn an_idle_source_sends_fewer_than_two_commands_a_second() {
    let server = RedisServer::start().unwrap();
    let list = List::on(&server, RedisSettings::new(&server.url()));
    idle(&server, &list_source(&list.client)).await;
}

/// Counts the commands that a source sends while its queue is empty.
pub(crate) async fn idle(server: &RedisServer, source: &dyn RecordSource) {
    assert_eq!(source.receive(10).await.unwrap(), []);
    server.reset_counts().unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        assert_eq!(source.receive(10).await.unwrap(), []);
    }
    let counts = server.counts().unwrap();
    // The server counts commands inside scripts, too. A source sends XREADGROUP only behind CLIENT REPLY SKIP.
    let sent = ["blmove", "eval", "evalsha", "client|reply", "client|reply", "xclaim", "ping", "scan"];
    let sent: u64 = sent.iter().filter_map(|name| counts.get(*name)).sum();
    assert!(sent > 0 && sent < 16, "in 8 s: {counts:?}");
}
