//! An emitter that remembers, and the conformance suite of [`MessageEmitter`]: what every way out must do, run
//! unchanged against each.
//!
//! An adapter implements [`EmitterFixture`] and calls [`emitter_conformance!`](crate::emitter_conformance) in a test
//! module. Its crate needs tokio's `macros`, `rt-multi-thread` and `time` among its dev-dependencies.

pub mod cases;

use std::sync::Arc;

use async_trait::async_trait;
use tallyhouse_core::Topic;
use tallyhouse_core::ports::MessageEmitter;

/// Another side of its own for one case, that keeps what arrives.
#[async_trait]
pub trait EmitterFixture: Send + Sync + Sized {
    /// Makes another side that listens to both topics and shares nothing with any other. Dropping the fixture takes it
    /// away.
    async fn fresh() -> Self;

    /// Returns an emitter with the default [`MessageFormat`](tallyhouse_core::MessageFormat): at each call another one, as another running instance
    /// would have it.
    async fn emitter(&self) -> Arc<dyn MessageEmitter>;

    /// Returns all that has arrived on a topic so far, oldest first, once that is at least `count` messages.
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
            cases::messages_arrive_to_the_letter;
            cases::nothing_to_emit_is_no_error;
            cases::a_repetition_is_the_same_to_the_letter;
            cases::many_messages_at_once_arrive_each_once;
        }
    };
}
