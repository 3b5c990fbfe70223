//! Tests of the adapter against real servers.
#![expect(clippy::unwrap_used, reason = "a failure in what a test needs is a failure of the test")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tallyhouse_core::ports::{Acknowledgement, Delivery, Disposition, RecordSource};
use tallyhouse_redis::{RedisClient, RedisListSource, RedisSettings, RedisStreamSource};
use tallyhouse_testing::TestClock;
use tallyhouse_tests::servers::redis_server::RedisServer;

mod conformance;
mod dead_letters;
mod emitter;
mod list;
mod outages;
mod oversize;
mod stream;
mod topologies;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server of all tests that do not harm it; each test has its own prefix.
fn shared_server() -> &'static RedisServer {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    SERVER.get_or_init(|| RedisServer::start().expect("Redis starts"))
}

/// Returns a prefix that no other test has.
fn fresh_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Settings with short waits.
fn quick(url: &str) -> RedisSettings {
    RedisSettings {
        prefix: fresh_prefix(),
        block: Duration::from_millis(100),
        lease: Duration::from_millis(900),
        ..RedisSettings::new(url)
    }
}

fn open(settings: RedisSettings) -> RedisClient {
    RedisClient::open(settings).expect("the settings are good")
}

fn list_source(client: &RedisClient) -> RedisListSource {
    RedisListSource::new(client, Arc::new(TestClock::default()))
}

fn stream_source(client: &RedisClient) -> RedisStreamSource {
    RedisStreamSource::new(client, Arc::new(TestClock::default()))
}

/// Receives until there are `count` deliveries; failures in between are retried.
async fn receive(source: &dyn RecordSource, count: usize) -> Vec<Delivery> {
    let (mut deliveries, begun) = (Vec::new(), Instant::now());
    while deliveries.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} deliveries came", deliveries.len());
        match source.receive(count - deliveries.len()).await {
            Ok(more) => deliveries.extend(more),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    deliveries
}

async fn ack(source: &dyn RecordSource, deliveries: &[Delivery], disposition: &Disposition) {
    source.ack(acknowledgements(deliveries, disposition)).await.expect("acknowledgements are done");
}

fn acknowledgements(deliveries: &[Delivery], disposition: &Disposition) -> Vec<Acknowledgement> {
    deliveries
        .iter()
        .map(|delivery| Acknowledgement { tag: delivery.tag.clone(), disposition: disposition.clone() })
        .collect()
}

fn payloads(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| String::from_utf8(delivery.payload.clone().expect("a payload")).expect("a text");
    deliveries.iter().map(text).collect()
}

/// Polls a condition until it holds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Polls a condition that needs no await until it holds.
async fn until_so(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
