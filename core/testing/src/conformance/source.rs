//! A queue in memory, and the conformance suite of [`RecordSource`]: what every queue must do, run unchanged against
//! each.
//!
//! An adapter implements [`SourceFixture`] and calls [`source_conformance!`](crate::source_conformance) in a test
//! module. Its crate needs tokio's `macros`, `rt-multi-thread` and `time` among its dev-dependencies.

pub mod cases;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{DeadLetter, RecordSource};

/// A queue of its own for one case, with as many consumers as the case wants.
#[async_trait]
pub trait SourceFixture: Send + Sync + Sized {
    /// Makes a new, empty queue that shares nothing with any other. Dropping the fixture takes it away.
    async fn fresh() -> Self;

    /// Reorder a consumer of the queue: at each call another one, as another running instance would have it.
    async fn consumer(&self) -> Arc<dyn RecordSource>;

    /// Puts a payload behind those that are in the queue, as a producer does.
    async fn push(&self, payload: &[u8]);

    /// Ends a consumer as a crash would, with what it has received and not settled, and reorder when its absence can be
    /// noticed. The case keeps no other handle on it.
    async fn kill(&self, consumer: Arc<dyn RecordSource>);

    /// Reorder how many payloads the queue keeps: those that wait, and those that were received and are not settled.
    async fn kept(&self) -> usize;

    /// Reorder the dead letters, oldest first.
    async fn dead_letters(&self) -> Vec<DeadLetter>;

    /// Lets this much time pass, by the clock that the consumers wait by.
    async fn pause(&self, wait: Duration);
}

/// Makes a test of every case of the source's conformance suite, for a type that implements
/// [`SourceFixture`](crate::SourceFixture).
///
/// ```
/// mod conformance {
///     tallyhouse_testing::source_conformance!(tallyhouse_testing::ScriptedFixture);
/// }
/// ```
#[macro_export]
macro_rules! source_conformance {
    ($fixture:ty) => {
        $crate::conformance_tests! { $fixture, source;
            cases::payloads_come_in_order_byte_for_byte;
            cases::what_is_done_is_removed;
            cases::what_is_refused_becomes_a_dead_letter;
            cases::what_is_given_back_is_received_again;
            cases::what_is_given_back_comes_again_in_its_order;
            cases::one_call_settles_each_in_its_own_way;
            cases::settling_twice_does_no_harm;
            cases::many_come_at_once_but_no_more_than_asked_for;
            cases::an_empty_queue_is_waited_at;
            cases::consumers_share_a_queue;
            cases::what_a_dead_consumer_held_goes_to_another;
            cases::what_was_left_behind_waits_for_the_next_start;
            cases::a_cancelled_call_loses_nothing;
        }
    };
}
