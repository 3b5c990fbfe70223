//! The queue in memory passes the suite that every source passes, and fails when a test says so.

use std::sync::Arc;

use super::ScriptedSource;
use crate::doubles::clock::TestClock;
use tallyhouse_core::ports::{Acknowledgement, Disposition, PortErrorKind, RecordSource};

crate::source_conformance!(crate::ScriptedFixture);

#[tokio::test]
async fn scripted_failures_come_first_and_lose_nothing() {
    let source = ScriptedSource::new(Arc::new(TestClock::default()));
    source.push(b"one");
    source.fail_next_receives(2);
    source.fail_next_acks(1);
    for _ in 0..2 {
        assert_eq!(source.receive(10).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    }
    let deliveries = source.receive(10).await.unwrap();
    let done = || vec![Acknowledgement { tag: deliveries[0].tag.clone(), disposition: Disposition::Ack }];
    assert_eq!(source.ack(done()).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert_eq!(source.kept(), 1);
    source.ack(done()).await.unwrap();
    assert_eq!(source.kept(), 0);
}
