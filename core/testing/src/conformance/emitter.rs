//! The conformance suite of [`MessageEmitter`]: cases that every emitter must pass, run unchanged against each.
//!
//! An adapter implements [`EmitterFixture`] and calls [`emitter_conformance!`](crate::emitter_conformance) in a test
//! module. Its crate needs tokio's `macros`, `rt-multi-thread` and `time` among its dev-dependencies.

pub mod cases;

use std::sync::Arc;

use async_trait::async_trait;
use tallyhouse_core::Topic;
use tallyhouse_core::ports::MessageEmitter;

/// A receiver of its own for one case, which keeps every message that arrives.
#[async_trait]
pub trait EmitterFixture: Send + Sync + Sized {
    /// Makes a receiver of both topics that shares nothing with any other. Dropping the fixture removes it.
    async fn fresh() -> Self;

    /// Returns a new emitter with the default [`MessageFormat`](tallyhouse_core::MessageFormat), as another running
    /// instance would have it.
    async fn emitter(&self) -> Arc<dyn MessageEmitter>;

    /// Waits until at least `count` messages have arrived on a topic, and returns all of them, oldest first.
    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String>;
}

/// Makes a test of every case of the emitter's conformance suite, for a type that implements
/// [`EmitterFixture`](crate::EmitterFixture).
///
/// ```
/// mod conformance {
///     tallyhouse_testing::emitter_conformance!(tallyhouse_testing::RecordingFixture);
/// }
/// ```
#[macro_export]
macro_rules! emitter_conformance {
    ($fixture:ty) => {
        $crate::conformance_tests! { $fixture, emitter;
            cases::messages_arrive_in_order_on_their_topics;
            cases::messages_arrive_unchanged;
            cases::emitting_nothing_is_no_error;
            cases::a_repeated_message_is_identical;
            cases::concurrent_messages_arrive_once_each;
        }
    };
}
