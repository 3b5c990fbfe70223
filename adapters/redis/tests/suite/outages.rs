//! Servers that are away, that stand still, that are full, that have forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cmd;
use tallyhouse_core::ports::{DeadLetterReason, DeadLetters, Disposition, PortErrorKind, RecordSource};
use tallyhouse_redis::{RedisClient, RedisDeadLetters, RedisSettings};
use tallyhouse_tests::redis_server::{RedisOptions, RedisServer};

use crate::{PATIENCE, ack, acknowledgements, list_source, open, payloads, quick, receive, stream_source, until};

/// The two ingresses, with how a producer comes in.
#[derive(Clone, Copy, Debug)]
enum Ingress {
    List,
    Stream,
}

impl Ingress {
    const BOTH: [Self; 2] = [Self::List, Self::Stream];

    fn source(self, client: &RedisClient) -> Arc<dyn RecordSource> {
        match self {
            Self::List => Arc::new(list_source(client)),
            Self::Stream => Arc::new(stream_source(client)),
        }
    }

    fn push(self, link: &mut redis::Connection, prefix: &str, payload: &str) -> redis::RedisResult<()> {
        match self {
            Self::List => cmd("LPUSH").arg(format!("{prefix}:records")).arg(payload).exec(link),
            Self::Stream => {
                cmd("XADD").arg(format!("{prefix}:records:stream")).arg(&["*", "record", payload]).exec(link)
            }
        }
    }
}

async fn kept(client: &RedisClient) -> u64 {
    let figures = client.queues().await.unwrap();
    figures.list + figures.processing + figures.stream
}

/// Receives and settles until nothing is kept, and returns all that came.
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
    let sources = Ingress::BOTH.map(|ingress| ingress.source(&client));
    for source in &sources {
        assert_eq!(source.receive(1).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    }
    server.restart().unwrap();
    for (ingress, source) in Ingress::BOTH.iter().zip(&sources) {
        ingress.push(&mut server.connection().unwrap(), &prefix, "here").unwrap();
        assert_eq!(payloads(&receive(&**source, 1).await), ["here"], "{ingress:?}");
    }
    client.ping().await.unwrap();
}

#[tokio::test]
async fn what_a_killed_server_had_written_comes_again_and_nothing_twice_for_ever() {
    for ingress in Ingress::BOTH {
        let mut server = RedisServer::start_durable().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = ingress.source(&client);
        let mut link = server.connection().unwrap();
        let all: BTreeSet<String> = (0..300).map(|n| format!("p-{n}")).collect();
        for payload in &all {
            ingress.push(&mut link, &prefix, payload).unwrap();
        }
        let before = receive(&*source, 100).await;
        ack(&*source, &before[..50], &Disposition::Ack).await;
        let settled: BTreeSet<String> = payloads(&before[..50]).into_iter().collect();
        server.kill().unwrap();
        let away = source.ack(acknowledgements(&before[50..], &Disposition::Ack)).await;
        assert_eq!(away.unwrap_err().kind(), PortErrorKind::Unavailable);
        assert_eq!(source.receive(1).await.unwrap_err().kind(), PortErrorKind::Unavailable);
        server.restart().unwrap();
        until("the server is found", async || client.ping().await.is_ok()).await;
        // Those that could not be settled are received again, and those that were settled are not.
        let mut after = BTreeSet::new();
        while after.len() < 250 {
            let deliveries = receive(&*source, 1).await;
            ack(&*source, &deliveries, &Disposition::Ack).await;
            after.extend(payloads(&deliveries));
        }
        assert_eq!(after, all.difference(&settled).cloned().collect(), "{ingress:?}");
        assert_eq!(kept(&client).await, 0, "{ingress:?}");
    }
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_in_bounded_time_and_loses_nothing() {
    for ingress in Ingress::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = RedisSettings {
            response_timeout: Duration::from_millis(300),
            connect_timeout: Duration::from_millis(300),
            ..quick(&server.url())
        };
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = ingress.source(&client);
        let mut link = server.connection().unwrap();
        for n in 0..20 {
            ingress.push(&mut link, &prefix, &format!("p-{n}")).unwrap();
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
        assert!((10..20).all(|n| rest.contains(&format!("p-{n}"))), "{ingress:?}: {rest:?}");
    }
}

#[tokio::test]
async fn a_backlog_drains_from_a_server_that_is_full() {
    for ingress in Ingress::BOTH {
        let server = RedisServer::start_with(RedisOptions {
            settings: vec![("maxmemory-policy".into(), "noeviction".into())],
            ..RedisOptions::default()
        })
        .unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut link = server.connection().unwrap();
        for n in 0..400 {
            ingress.push(&mut link, &prefix, &format!("{n:0>1000}")).unwrap();
        }
        // One consumer is there already, another comes when the server is full.
        let present = ingress.source(&client);
        let held = receive(&*present, 10).await;
        server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
        let full = ingress.push(&mut link, &prefix, "one more").unwrap_err();
        assert_eq!(full.code(), Some("OOM"), "the server is full");
        let refused = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: "value".into() };
        ack(&*present, &held[..3], &refused).await;
        ack(&*present, &held[3..6], &Disposition::Nack).await;
        ack(&*present, &held[6..], &Disposition::Ack).await;
        let mut received = receive(&*present, 100).await;
        ack(&*present, &received, &Disposition::Ack).await;
        let newcomer = ingress.source(&client);
        received.extend(receive(&*newcomer, 150).await);
        ack(&*newcomer, &received[100..], &Disposition::Ack).await;
        let received = payloads(&received).len() + drain(&client, &*newcomer).await.len();
        assert_eq!(received, 400 - 7, "{ingress:?}: all but those that were settled at the start");
        assert_eq!(RedisDeadLetters::new(&client).list(None, 10).await.unwrap().len(), 3, "{ingress:?}");
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_everything_is_used_on() {
    for ingress in Ingress::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let source = ingress.source(&client);
        let mut link = server.connection().unwrap();
        ingress.push(&mut link, &prefix, "before").unwrap();
        let before = receive(&*source, 1).await;
        server.cli(&["FLUSHALL"]).unwrap();
        ack(&*source, &before, &Disposition::Ack).await;
        server.cli(&["SCRIPT", "FLUSH"]).unwrap();
        for n in 0..5 {
            ingress.push(&mut link, &prefix, &format!("after-{n}")).unwrap();
            let after = receive(&*source, 1).await;
            assert_eq!(payloads(&after), [format!("after-{n}")], "{ingress:?}");
            ack(&*source, &after, &Disposition::Ack).await;
            server.cli(&["FLUSHALL"]).unwrap();
        }
        // A consumer that the server has forgotten gets known again, so that others would take over from it.
        ingress.push(&mut link, &prefix, "last").unwrap();
        assert_eq!(payloads(&receive(&*source, 1).await), ["last"]);
        drop(source);
        assert_eq!(payloads(&receive(&*ingress.source(&client), 1).await), ["last"], "{ingress:?}");
    }
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_lose_nothing() {
    for ingress in Ingress::BOTH {
        let server = RedisServer::start().unwrap();
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut link = server.connection().unwrap();
        let all: BTreeSet<String> = (0..2000).map(|n| format!("p-{n}")).collect();
        for payload in &all {
            ingress.push(&mut link, &prefix, payload).unwrap();
        }
        let source = ingress.source(&client);
        let (mut done, begun, mut round) = (BTreeSet::new(), Instant::now(), 0_u64);
        while done.len() < all.len() {
            assert!(begun.elapsed() < PATIENCE, "{ingress:?}: {} came", done.len());
            round += 1;
            if round.is_multiple_of(3) {
                cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut link).unwrap();
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
