//! Tests of the stream source alone.

use std::sync::Arc;
use std::time::Duration;

use redis::{Connection, cmd};
use tallyhouse_core::ports::{DeadLetterReason, DeadLetters, Disposition, RecordSource};
use tallyhouse_core::{Rejection, RejectionCode};
use tallyhouse_redis::{RedisClient, RedisDeadLetters, RedisSettings};
use tallyhouse_tests::servers::redis_server::RedisServer;

use crate::{ack, open, payloads, quick, receive, shared_server, stream_source, until};

/// A stream under a prefix of its own.
struct Stream {
    client: RedisClient,
    key: String,
    connection: Connection,
}

impl Stream {
    fn fresh() -> Self {
        Self::on(shared_server(), quick(&shared_server().url()))
    }

    fn on(server: &RedisServer, settings: RedisSettings) -> Self {
        let key = format!("{}:records:stream", settings.prefix);
        Self { client: open(settings), key, connection: server.connection().unwrap() }
    }

    fn add(&mut self, fields: &[(&str, &str)]) -> String {
        cmd("XADD").arg(&self.key).arg("*").arg(fields).query(&mut self.connection).unwrap()
    }

    fn add_many(&mut self, count: usize) {
        for n in 0..count {
            self.add(&[("record", &format!("p-{n}"))]);
        }
    }

    fn run(&mut self, command: &str, args: &[&str]) {
        cmd(command).arg(args).exec(&mut self.connection).unwrap();
    }

    fn consumers(&mut self) -> Vec<String> {
        let names: Vec<std::collections::HashMap<String, redis::Value>> =
            cmd("XINFO").arg("CONSUMERS").arg(&self.key).arg("tallyhouse").query(&mut self.connection).unwrap();
        names.into_iter().map(|mut c| redis::from_redis_value(c.remove("name").unwrap()).unwrap()).collect()
    }

    async fn kept(&self) -> (u64, u64) {
        let figures = self.client.queues().await.unwrap();
        (figures.stream, figures.pending)
    }
}

#[tokio::test]
async fn a_group_that_is_destroyed_is_created_again_and_nothing_is_lost() {
    let mut stream = Stream::fresh();
    stream.add_many(3);
    let source = stream_source(&stream.client);
    let first = receive(&source, 1).await;
    let key = stream.key.clone();
    stream.run("XGROUP", &["DESTROY", &key, "tallyhouse"]);
    ack(&source, &first, &Disposition::Ack).await;
    let rest = receive(&source, 2).await;
    assert_eq!(payloads(&rest), ["p-1", "p-2"]);
    ack(&source, &rest, &Disposition::Ack).await;
    assert_eq!(stream.kept().await, (0, 0));
}

#[tokio::test]
async fn an_entry_that_is_dead_lettered_after_the_group_was_lost_becomes_one_dead_letter() {
    let mut stream = Stream::fresh();
    stream.add_many(1);
    let source = stream_source(&stream.client);
    let first = receive(&source, 1).await;
    let key = stream.key.clone();
    stream.run("XGROUP", &["DESTROY", &key, "tallyhouse"]);
    let dead_letter = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: "value".into() };
    ack(&source, &first, &dead_letter).await;
    let again = receive(&source, 1).await;
    ack(&source, &again, &dead_letter).await;
    assert_eq!(stream.kept().await, (0, 0));
    assert_eq!(RedisDeadLetters::new(&stream.client).list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_that_is_lost_while_the_source_blocks_is_created_again() {
    for command in ["XGROUP", "DEL"] {
        let mut stream = Stream::fresh();
        let source = Arc::new(stream_source(&stream.client));
        assert_eq!(source.receive(1).await.unwrap(), []);
        let waiting = tokio::spawn({
            let source = Arc::clone(&source);
            async move { receive(&*source, 2).await }
        });
        for n in 0..2 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let key = stream.key.clone();
            match command {
                "XGROUP" => stream.run("XGROUP", &["DESTROY", &key, "tallyhouse"]),
                _ => stream.run("DEL", &[&key]),
            }
            stream.add(&[("record", &format!("after-{n}"))]);
            until("it was taken", async || stream.client.queues().await.unwrap().pending == 1).await;
            let pending: Vec<(String, String, u64, u64)> = cmd("XPENDING")
                .arg(&stream.key)
                .arg("tallyhouse")
                .arg("-")
                .arg("+")
                .arg(1)
                .query(&mut stream.connection)
                .unwrap();
            // Acknowledged by hand, so that a new group does not begin with it.
            stream.run("XACK", &[&key, "tallyhouse", &pending[0].0]);
            stream.run("XDEL", &[&key, &pending[0].0]);
        }
        assert_eq!(payloads(&waiting.await.unwrap()), ["after-0", "after-1"], "{command}");
    }
}

#[tokio::test]
async fn an_entry_without_a_record_is_delivered_without_a_payload_and_can_be_dead_lettered() {
    let mut stream = Stream::fresh();
    stream.add(&[("Record", "{\"a\":1}"), ("more", "z")]);
    stream.add(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("record", "{}")]);
    stream.add(&[("record", "{}"), ("traceparent", "x\0y"), ("more", "z")]);
    let source = stream_source(&stream.client);
    let deliveries = receive(&source, 3).await;
    assert_eq!(deliveries[0].payload, Err(Rejection::not_json("has no field \"record\"")));
    assert_eq!(deliveries[1].payload.as_deref(), Ok(&b"{}"[..]));
    let traceparent = deliveries[1].traceparent.as_deref();
    assert_eq!(traceparent, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_eq!(deliveries[2].traceparent, None, "a malformed traceparent is dropped");
    let reason = DeadLetterReason::Rejection(RejectionCode::NotJson);
    ack(&source, &deliveries[..1], &Disposition::DeadLetter { reason, detail: "has no field \"record\"".into() }).await;
    ack(&source, &deliveries[1..], &Disposition::Ack).await;
    let letters = RedisDeadLetters::new(&stream.client).list(None, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "not-json"));
    let kept = "{\"Record\":\"{\\\"a\\\":1}\",\"more\":\"z\"}";
    assert_eq!(String::from_utf8_lossy(&letters[0].payload), kept, "all its fields");
    assert_eq!(stream.kept().await, (0, 0));
}

#[tokio::test]
async fn an_entry_with_two_records_is_rejected_and_its_dead_letter_keeps_both() {
    let mut stream = Stream::fresh();
    stream.add(&[("record", "{\"a\":1}"), ("traceparent", "t"), ("record", "{\"a\":2}")]);
    let source = stream_source(&stream.client);
    let deliveries = receive(&source, 1).await;
    let rejection = deliveries[0].payload.clone().unwrap_err();
    assert_eq!(
        (rejection.code, rejection.detail()),
        (RejectionCode::Rejected, "has more than one field \"record\"".into())
    );
    let reason = DeadLetterReason::Rejection(rejection.code);
    ack(&source, &deliveries, &Disposition::DeadLetter { reason, detail: rejection.detail() }).await;
    let letters = RedisDeadLetters::new(&stream.client).list(None, 10).await.unwrap();
    let kept = r#"{"record":"{\"a\":1}","record":"{\"a\":2}"}"#;
    assert_eq!((letters.len(), String::from_utf8_lossy(&letters[0].payload).as_ref()), (1, kept));
    assert_eq!(stream.kept().await, (0, 0));
}

#[tokio::test]
async fn abandoned_entries_of_any_consumer_are_claimed() {
    let mut stream = Stream::fresh();
    stream.add_many(5);
    let key = stream.key.clone();
    stream.run("XGROUP", &["CREATE", &key, "tallyhouse", "0"]);
    stream.run("XREADGROUP", &["GROUP", "tallyhouse", "somebody", "COUNT", "3", "STREAMS", &key, ">"]);
    let source = stream_source(&stream.client);
    let mut all = payloads(&receive(&source, 5).await);
    all.sort();
    assert_eq!(all, ["p-0", "p-1", "p-2", "p-3", "p-4"]);
    assert_eq!(stream.kept().await, (5, 5));
}

#[tokio::test]
async fn the_entries_of_a_slow_consumer_are_not_claimed() {
    let mut stream = Stream::fresh();
    stream.add_many(3);
    let (slow, other) = (stream_source(&stream.client), stream_source(&stream.client));
    let deliveries = receive(&slow, 3).await;
    for _ in 0..30 {
        assert_eq!(other.receive(10).await.unwrap(), []);
    }
    ack(&slow, &deliveries, &Disposition::Ack).await;
    assert_eq!(stream.kept().await, (0, 0));
}

#[tokio::test]
async fn entries_that_are_deleted_while_pending_are_skipped_and_removed() {
    let mut stream = Stream::fresh();
    stream.add_many(3);
    let dying = stream_source(&stream.client);
    let deliveries = receive(&dying, 3).await;
    drop(dying);
    let key = stream.key.clone();
    stream.run("XDEL", &[&key, &deliveries[0].tag, &deliveries[2].tag]);
    let source = stream_source(&stream.client);
    let claimed = receive(&source, 1).await;
    assert_eq!(payloads(&claimed), ["p-1"]);
    ack(&source, &claimed, &Disposition::Ack).await;
    until("nothing is pending", async || {
        assert_eq!(source.receive(10).await.unwrap(), []);
        stream.kept().await == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn consumers_that_are_gone_are_deleted_but_not_their_pending_entries() {
    let settings = RedisSettings { lease: Duration::from_millis(150), ..quick(&shared_server().url()) };
    let mut stream = Stream::on(shared_server(), settings);
    let key = stream.key.clone();
    for name in ["empty-1", "empty-2"] {
        stream.run("XGROUP", &["CREATE", &key, name, "0", "MKSTREAM"]);
    }
    stream.run("XGROUP", &["CREATE", &key, "tallyhouse", "0"]);
    for name in ["empty-1", "empty-2"] {
        stream.run("XGROUP", &["CREATECONSUMER", &key, "tallyhouse", name]);
    }
    assert_eq!(stream.consumers().len(), 2);
    stream.add_many(1);
    let source = stream_source(&stream.client);
    let held = receive(&source, 1).await;
    until("only the consumer with a pending entry is left", async || stream.consumers().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(stream.consumers().len(), 1, "it is kept, however long its entry takes");
    ack(&source, &held, &Disposition::Ack).await;
    stream.add_many(1);
    assert_eq!(payloads(&receive(&source, 1).await), ["p-0"]);
}

#[tokio::test]
async fn ten_thousand_entries_take_few_round_trips() {
    let server = RedisServer::start().unwrap();
    let mut stream = Stream::on(&server, RedisSettings::new(&server.url()));
    let mut pipeline = redis::pipe();
    for n in 0..10_000 {
        pipeline.cmd("XADD").arg(&stream.key).arg("*").arg("record").arg(format!("p-{n}")).ignore();
    }
    pipeline.exec(&mut stream.connection).unwrap();
    server.reset_counts().unwrap();
    let source = stream_source(&stream.client);
    let mut received = Vec::new();
    while received.len() < 10_000 {
        let deliveries = source.receive(1000).await.unwrap();
        ack(&source, &deliveries, &Disposition::Ack).await;
        received.extend(payloads(&deliveries));
    }
    assert!(received.iter().enumerate().all(|(n, payload)| *payload == format!("p-{n}")));
    let counts = server.counts().unwrap();
    // Every read is a script. One that waits is sent together with its wait.
    let trips: u64 = ["xclaim", "eval", "evalsha"].iter().filter_map(|name| counts.get(*name)).sum();
    assert!(trips <= 30, "ten reads and ten removals, and what comes with the start: {counts:?}");
    assert_eq!(stream.kept().await, (0, 0));
}

#[tokio::test]
async fn an_idle_source_sends_fewer_than_two_commands_a_second() {
    let server = RedisServer::start().unwrap();
    let stream = Stream::on(&server, RedisSettings::new(&server.url()));
    crate::list::idle(&server, &stream_source(&stream.client)).await;
}
