//! Servers that are unavailable, frozen, full, or have lost their data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cmd;
use tallyhouse_core::ports::{DeadLetterReason, DeadLetters, Disposition, PortErrorKind, RecordSource};
use tallyhouse_redis::{RedisClient, RedisDeadLetters, RedisSettings};
use tallyhouse_tests::servers::redis_server::{RedisOptions, RedisServer};

use crate::{PATIENCE, ack, acknowledgements, list_source, open, payloads, quick, receive, stream_source, until};

/// The two queues.
#[derive(Clone, Copy, Debug)]
enum Queue {
    List,
    Stream,
}

impl Queue {
    const BOTH: [Self; 2] = [Self::List, Self::Stream];

    fn source(self, client: &RedisClient) -> Arc<dyn RecordSource> {
        match self {
            Self::List => Arc::new(list_source(client)),
            Self::Stream => Arc::new(stream_source(client)),
        }
    }

    fn push(self, connection: &mut redis::Connection, prefix: &str, payload: &str) -> redis::RedisResult<()> {
        match self {
            Self::List => cmd("LPUSH").arg(format!("{prefix}:records")).arg(payload).exec(connection),
            Self::Stream => {
                cmd("XADD").arg(format!("{prefix}:records:stream")).arg(&["*", "record", payload]).exec(connection)
            }
        }
    }
}

async fn kept(client: &RedisClient) -> u64 {
    let figures = client.queues().await.unwrap();
    figures.list + figures.processing + figures.stream
}

/// Receives and acknowledges until the queue is empty, and returns all payloads.
async fn drain(client: &RedisClient, source: &dyn RecordSource) -> Vec<String> {
    let (mut all, begun) = (Vec::new(), Instant::now());
    while kept(client).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "the queue does not drain");
        let deliveries = source.receive(100).await.unwrap();
        all.extend(payloads(&deliveries));
        ack(source, &deliveries, &Disposition::Ack).await;
    }
    all
}

#[tokio::test]
async fn a_source_starts_without_a_server_and_finds_it_when_it_comes() {
    let mut server = RedisServer::start().unwrap();
    let settings = quick(&server.url());
    let prefix = settings.prefix.clone();
    server.stop().unwrap();
    let client = open(settings);
    assert_eq!(client.ping().await.unwrap_err().kind(), PortErrorKind::Unavailable);
    let sources = Queue::BOTH.map(|queue| queue.source(&client));
    for source in &sources {
        assert_eq!(source.receive(1).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    }
    server.restart().unwrap();
    for (queue, source) in Queue::BOTH.iter().zip(&sources) {
        queue.push(&mut server.connection().unwrap(), &prefix, "here").unwrap();
        assert_eq!(payloads(&receive(&**source, 1).await), ["here"], "{queue:?}");
    }
    client.ping().await.unwrap();
}

#[tokio::test]
async fn payloads_that_a_killed_server_had_written_come_again_and_acknowledged_ones_do_not() {
    for queue in Queue::BOTH {
        let mut server = RedisServer::start_durable().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = queue.source(&client);
        let mut connection = server.connection().unwrap();
        let all: BTreeSet<String> = (0..300).map(|n| format!("p-{n}")).collect();
        for payload in &all {
            queue.push(&mut connection, &prefix, payload).unwrap();
        }
        let before = receive(&*source, 100).await;
        ack(&*source, &before[..50], &Disposition::Ack).await;
        let acked: BTreeSet<String> = payloads(&before[..50]).into_iter().collect();
        server.kill().unwrap();
        let outage = source.ack(acknowledgements(&before[50..], &Disposition::Ack)).await;
        assert_eq!(outage.unwrap_err().kind(), PortErrorKind::Unavailable);
        assert_eq!(source.receive(1).await.unwrap_err().kind(), PortErrorKind::Unavailable);
        server.restart().unwrap();
        until("the server is found", async || client.ping().await.is_ok()).await;
        // Payloads whose acknowledgement failed are received again, and acknowledged ones are not.
        let mut after = BTreeSet::new();
        while after.len() < 250 {
            let deliveries = receive(&*source, 1).await;
            ack(&*source, &deliveries, &Disposition::Ack).await;
            after.extend(payloads(&deliveries));
        }
        assert_eq!(after, all.difference(&acked).cloned().collect(), "{queue:?}");
        assert_eq!(kept(&client).await, 0, "{queue:?}");
    }
}

#[tokio::test]
async fn a_frozen_server_is_an_error_in_bounded_time_and_loses_nothing() {
    for queue in Queue::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = RedisSettings {
            response_timeout: Duration::from_millis(300),
            connect_timeout: Duration::from_millis(300),
            ..quick(&server.url())
        };
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = queue.source(&client);
        let mut connection = server.connection().unwrap();
        for n in 0..20 {
            queue.push(&mut connection, &prefix, &format!("p-{n}")).unwrap();
        }
        let held = receive(&*source, 10).await;
        server.freeze().unwrap();
        let begun = Instant::now();
        assert!(client.ping().await.is_err());
        assert!(source.receive(10).await.is_err());
        assert!(source.ack(acknowledgements(&held[..5], &Disposition::Ack)).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        server.thaw().unwrap();
        until("the server is found", async || client.ping().await.is_ok()).await;
        ack(&*source, &held[5..], &Disposition::Ack).await;
        let rest: BTreeSet<String> = drain(&client, &*source).await.into_iter().collect();
        assert!((10..20).all(|n| rest.contains(&format!("p-{n}"))), "{queue:?}: {rest:?}");
    }
}

#[tokio::test]
async fn a_backlog_drains_from_a_server_that_is_full() {
    for queue in Queue::BOTH {
        let server = RedisServer::start_with(RedisOptions {
            settings: vec![("maxmemory-policy".into(), "noeviction".into())],
            ..RedisOptions::default()
        })
        .unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut connection = server.connection().unwrap();
        for n in 0..400 {
            queue.push(&mut connection, &prefix, &format!("{n:0>1000}")).unwrap();
        }
        // One consumer is there already, another starts when the server is full.
        let present = queue.source(&client);
        let held = receive(&*present, 10).await;
        server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
        let full = queue.push(&mut connection, &prefix, "one more").unwrap_err();
        assert_eq!(full.code(), Some("OOM"), "the server is full");
        let dead_letter = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: "value".into() };
        ack(&*present, &held[..3], &dead_letter).await;
        ack(&*present, &held[3..6], &Disposition::Nack).await;
        ack(&*present, &held[6..], &Disposition::Ack).await;
        let mut received = receive(&*present, 100).await;
        ack(&*present, &received, &Disposition::Ack).await;
        let newcomer = queue.source(&client);
        received.extend(receive(&*newcomer, 150).await);
        ack(&*newcomer, &received[100..], &Disposition::Ack).await;
        let received = payloads(&received).len() + drain(&client, &*newcomer).await.len();
        assert_eq!(received, 400 - 7, "{queue:?}: all but those that were acknowledged at the start");
        assert_eq!(RedisDeadLetters::new(&client).list(None, 10).await.unwrap().len(), 3, "{queue:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_flushed_is_used_on() {
    for queue in Queue::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = queue.source(&client);
        let mut connection = server.connection().unwrap();
        queue.push(&mut connection, &prefix, "before").unwrap();
        let before = receive(&*source, 1).await;
        server.cli(&["FLUSHALL"]).unwrap();
        ack(&*source, &before, &Disposition::Ack).await;
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        for n in 0..5 {
            queue.push(&mut connection, &prefix, &format!("after-{n}")).unwrap();
            let after = receive(&*source, 1).await;
            assert_eq!(payloads(&after), [format!("after-{n}")], "{queue:?}");
            ack(&*source, &after, &Disposition::Ack).await;
            server.cli(&["FLUSHALL"]).unwrap();
        }
        // A consumer that the server has lost registers again, so that others can claim from it.
        queue.push(&mut connection, &prefix, "last").unwrap();
        assert_eq!(payloads(&receive(&*source, 1).await), ["last"]);
        drop(source);
        assert_eq!(payloads(&receive(&*queue.source(&client), 1).await), ["last"], "{queue:?}");
    }
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_lose_nothing() {
    for queue in Queue::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut connection = server.connection().unwrap();
        let all: BTreeSet<String> = (0..2000).map(|n| format!("p-{n}")).collect();
        for payload in &all {
            queue.push(&mut connection, &prefix, payload).unwrap();
        }
        let source = queue.source(&client);
        let (mut done, begun, mut round) = (BTreeSet::new(), Instant::now(), 0_u64);
        while done.len() < all.len() {
            assert!(begun.elapsed() < PATIENCE, "{queue:?}: {} came", done.len());
            round += 1;
            if round.is_multiple_of(3) {
                cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut connection).unwrap();
            }
            let Ok(deliveries) = source.receive(50).await else { continue };
            if source.ack(acknowledgements(&deliveries, &Disposition::Ack)).await.is_ok() {
                done.extend(payloads(&deliveries));
            }
        }
        assert_eq!(done, all);
        drain(&client, &*source).await;
    }
}
