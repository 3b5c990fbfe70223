//! The conformance suites of the ports.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{DeadLetter, DeadLetters, MessageEmitter, RecordSource};
use tallyhouse_core::{MessageFormat, Topic};
use tallyhouse_redis::{RedisClient, RedisDeadLetters, RedisEmitter};
use tallyhouse_testing::{EmitterFixture, SourceFixture};

use crate::{list_source, open, quick, shared_server, stream_source, until_so};

mod list {
    tallyhouse_testing::source_conformance!(super::ListFixture);
}
mod stream {
    tallyhouse_testing::source_conformance!(super::StreamFixture);
}
mod plain_emitter {
    tallyhouse_testing::emitter_conformance!(super::PlainFixture);
}
mod durable_emitter {
    tallyhouse_testing::emitter_conformance!(super::DurableFixture);
}

struct Queue {
    client: RedisClient,
    prefix: String,
    connection: Mutex<redis::Connection>,
}

impl Queue {
    fn fresh() -> Self {
        let settings = quick(&shared_server().url());
        let prefix = settings.prefix.clone();
        Self { client: open(settings), prefix, connection: Mutex::new(shared_server().connection().unwrap()) }
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        RedisDeadLetters::new(&self.client).list(None, 1000).await.unwrap()
    }
}

struct ListFixture(Queue);

#[async_trait]
impl SourceFixture for ListFixture {
    async fn fresh() -> Self {
        Self(Queue::fresh())
    }

    async fn consumer(&self) -> Arc<dyn RecordSource> {
        Arc::new(list_source(&self.0.client))
    }

    async fn push(&self, payload: &[u8]) {
        let key = format!("{}:records", self.0.prefix);
        redis::cmd("LPUSH").arg(key).arg(payload).exec(&mut self.0.connection.lock().unwrap()).unwrap();
    }

    async fn kill(&self, consumer: Arc<dyn RecordSource>) {
        drop(consumer);
    }

    async fn kept(&self) -> usize {
        let figures = self.0.client.queues().await.unwrap();
        usize::try_from(figures.list + figures.processing).unwrap()
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead_letters().await
    }

    async fn pause(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

struct StreamFixture(Queue);

#[async_trait]
impl SourceFixture for StreamFixture {
    async fn fresh() -> Self {
        Self(Queue::fresh())
    }

    async fn consumer(&self) -> Arc<dyn RecordSource> {
        Arc::new(stream_source(&self.0.client))
    }

    async fn push(&self, payload: &[u8]) {
        let key = format!("{}:records:stream", self.0.prefix);
        let mut add = redis::cmd("XADD");
        add.arg(key).arg("*").arg("record").arg(payload).exec(&mut self.0.connection.lock().unwrap()).unwrap();
    }

    async fn kill(&self, consumer: Arc<dyn RecordSource>) {
        drop(consumer);
    }

    async fn kept(&self) -> usize {
        usize::try_from(self.0.client.queues().await.unwrap().stream).unwrap()
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead_letters().await
    }

    async fn pause(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Listens to both channels.
struct PlainFixture {
    client: RedisClient,
    arrived: Arc<Mutex<[Vec<String>; 2]>>,
}

impl PlainFixture {
    fn listening() -> (Self, String) {
        let settings = quick(&shared_server().url());
        let prefix = settings.prefix.clone();
        let mut connection = shared_server().connection().unwrap();
        let channels = Topic::ALL.map(|topic| format!("{prefix}:{}", topic.name()));
        let arrived: Arc<Mutex<[Vec<String>; 2]>> = Arc::default();
        let keep = Arc::downgrade(&arrived);
        std::thread::spawn(move || {
            let mut subscription = connection.as_pubsub();
            subscription.subscribe(&channels).unwrap();
            subscription.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            while let Some(keep) = keep.upgrade() {
                let Ok(message) = subscription.get_message() else { continue };
                let place = channels.iter().position(|channel| channel == message.get_channel_name()).unwrap();
                keep.lock().unwrap()[place].push(message.get_payload().unwrap());
            }
        });
        (Self { client: open(settings), arrived }, prefix)
    }
}

#[async_trait]
impl EmitterFixture for PlainFixture {
    async fn fresh() -> Self {
        let (fixture, prefix) = Self::listening();
        let mut connection = shared_server().connection().unwrap();
        until_so("the fixture is subscribed", || {
            let channels = Topic::ALL.map(|topic| format!("{prefix}:{}", topic.name()));
            let counts: Vec<(String, u64)> =
                redis::cmd("PUBSUB").arg("NUMSUB").arg(&channels).query(&mut connection).unwrap();
            counts.iter().all(|(_, listeners)| *listeners == 1)
        })
        .await;
        fixture
    }

    async fn emitter(&self) -> Arc<dyn MessageEmitter> {
        Arc::new(RedisEmitter::new(&self.client, MessageFormat::default()))
    }

    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String> {
        let place = Topic::ALL.iter().position(|of| *of == topic).unwrap();
        until_so("messages arrive", || self.arrived.lock().unwrap()[place].len() >= count).await;
        self.arrived.lock().unwrap()[place].clone()
    }
}

/// Reads the streams beside the channels.
struct DurableFixture {
    client: RedisClient,
    prefix: String,
}

#[async_trait]
impl EmitterFixture for DurableFixture {
    async fn fresh() -> Self {
        let settings = tallyhouse_redis::RedisSettings { durable: true, ..quick(&shared_server().url()) };
        Self { prefix: settings.prefix.clone(), client: open(settings) }
    }

    async fn emitter(&self) -> Arc<dyn MessageEmitter> {
        Arc::new(RedisEmitter::new(&self.client, MessageFormat::default()))
    }

    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String> {
        let key = format!("{}:{}:stream", self.prefix, topic.name());
        let mut connection = shared_server().connection().unwrap();
        let mut range = redis::cmd("XRANGE");
        let range = range.arg(key).arg("-").arg("+");
        let entries: Vec<(String, Vec<(String, String)>)> = range.query(&mut connection).unwrap();
        assert!(entries.len() >= count, "emitted messages are there at once");
        entries
            .into_iter()
            .map(|(_, mut fields)| {
                let (name, message) = fields.pop().unwrap();
                assert_eq!((name.as_str(), fields.len()), ("message", 0));
                message
            })
            .collect()
    }
}
