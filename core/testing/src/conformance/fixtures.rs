//! Runs the conformance suites against the in-memory adapters.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{DeadLetter, MessageEmitter, RecordSource, RuleRepository, Store};
use tallyhouse_core::{MessageFormat, Topic};

use crate::conformance::emitter::EmitterFixture;
use crate::conformance::repository::RepositoryFixture;
use crate::conformance::source::SourceFixture;
use crate::conformance::yield_now;
use crate::doubles::clock::TestClock;
use crate::memory::emitter::RecordingEmitter;
use crate::memory::repository::MemoryRepository;
use crate::memory::source::ScriptedSource;

/// The fixture of [`MemoryRepository`]: all handles are one, and leases lapse by a [`TestClock`].
#[derive(Debug)]
pub struct MemoryFixture {
    clock: Arc<TestClock>,
    repository: Arc<MemoryRepository>,
}

#[async_trait]
impl RepositoryFixture for MemoryFixture {
    async fn fresh() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { repository: Arc::new(MemoryRepository::new(Arc::clone(&clock) as _)), clock }
    }

    async fn handle(&self) -> Arc<dyn Store> {
        Arc::clone(&self.repository) as _
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::clone(&self.repository) as _
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }
}

/// The fixture of [`ScriptedSource`]: a consumer dies by being dropped, and time passes by a [`TestClock`].
#[derive(Debug)]
pub struct ScriptedFixture {
    clock: Arc<TestClock>,
    /// Receives nothing: it only keeps the queue.
    queue: ScriptedSource,
}

#[async_trait]
impl SourceFixture for ScriptedFixture {
    async fn fresh() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { queue: ScriptedSource::new(Arc::clone(&clock) as _), clock }
    }

    async fn consumer(&self) -> Arc<dyn RecordSource> {
        Arc::new(self.queue.another())
    }

    async fn push(&self, payload: &[u8]) {
        self.queue.push(payload);
    }

    async fn kill(&self, consumer: Arc<dyn RecordSource>) {
        drop(consumer);
    }

    async fn kept(&self) -> usize {
        self.queue.kept()
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.queue.dead_letters()
    }

    async fn pause(&self, wait: Duration) {
        yield_now().await;
        self.clock.advance(wait);
        yield_now().await;
    }
}

/// The fixture of [`RecordingEmitter`].
#[derive(Debug)]
pub struct RecordingFixture {
    emitter: Arc<RecordingEmitter>,
}

#[async_trait]
impl EmitterFixture for RecordingFixture {
    async fn fresh() -> Self {
        Self { emitter: Arc::default() }
    }

    async fn emitter(&self) -> Arc<dyn MessageEmitter> {
        Arc::clone(&self.emitter) as _
    }

    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String> {
        let of_topic = || -> Vec<String> {
            let messages = self.emitter.messages();
            let of_topic = messages.iter().filter(|message| message.topic() == topic);
            of_topic.map(|message| MessageFormat::default().to_json(message)).collect()
        };
        let mut all = 0;
        loop {
            let arrived = of_topic();
            if arrived.len() >= count {
                return arrived;
            }
            self.emitter.until(all + 1).await;
            all = self.emitter.messages().len();
        }
    }
}
