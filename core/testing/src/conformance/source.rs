//! The conformance suite of [`RecordSource`]: cases that every queue must pass, run unchanged against each.
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
    /// Makes a new, empty queue that shares nothing with any other. Dropping the fixture removes the queue.
    async fn fresh() -> Self;

    /// Returns a new consumer of the queue, as another running instance would have it.
    async fn consumer(&self) -> Arc<dyn RecordSource>;

    /// Appends a payload to the queue, as a producer does.
    async fn push(&self, payload: &[u8]);

    /// Ends a consumer as a crash would, with its unacknowledged deliveries, and returns when others can notice that it
    /// is gone. The case keeps no other handle on it.
    async fn kill(&self, consumer: Arc<dyn RecordSource>);

    /// Returns how many payloads the queue keeps: those that wait, and those that are not acknowledged.
    async fn kept(&self) -> usize;

    /// Returns the dead letters, oldest first.
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
            cases::an_acked_payload_is_removed;
            cases::a_refused_payload_becomes_a_dead_letter;
            cases::a_nacked_payload_is_received_again;
            cases::nacked_payloads_come_again_in_their_order;
            cases::one_call_may_ack_nack_and_dead_letter;
            cases::acknowledging_twice_does_no_harm;
            cases::a_call_returns_many_but_no_more_than_asked_for;
            cases::a_call_waits_at_an_empty_queue;
            cases::consumers_share_a_queue;
            cases::unacknowledged_payloads_of_a_dead_consumer_go_to_another;
            cases::unacknowledged_payloads_wait_for_the_next_consumer;
            cases::a_cancelled_receive_loses_nothing;
        }
    };
}
