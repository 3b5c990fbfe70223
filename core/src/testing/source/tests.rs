//! The queue in memory passes the suite that every source passes, and fails when it is told to.

use std::sync::Arc;

use super::ScriptedSource;
use crate::ports::{PortErrorKind, RecordSource, Settlement, Verdict};
use crate::testing::TestClock;

crate::source_conformance!(super::ScriptedFixture);

#[tokio::test]
async fn scripted_failures_come_first_and_lose_nothing() {
    let source = ScriptedSource::new(Arc::new(TestClock::default()));
    source.push(b"one");
    source.fail_next_receives(2);
    source.fail_next_settles(1);
    for _ in 0..2 {
        assert_eq!(source.receive(10).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    }
    let deliveries = source.receive(10).await.unwrap();
    let done = || vec![Settlement { tag: deliveries[0].tag.clone(), verdict: Verdict::Done }];
    assert_eq!(source.settle(done()).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert_eq!(source.kept(), 1);
    source.settle(done()).await.unwrap();
    assert_eq!(source.kept(), 0);
}
