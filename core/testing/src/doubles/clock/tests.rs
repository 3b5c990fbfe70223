//! The clock moves only when a test moves it.

use std::sync::Arc;
use std::time::Duration;

use super::TestClock;
use tallyhouse_core::ports::Clock;

#[tokio::test]
async fn a_sleeper_wakes_when_the_time_has_been_moved_far_enough() {
    let clock = Arc::new(TestClock::default());
    let sleeper = tokio::spawn({
        let clock = Arc::clone(&clock);
        async move { clock.sleep(Duration::from_secs(10)).await }
    });
    clock.until_sleeping(1).await;
    clock.advance(Duration::from_secs(9));
    tokio::task::yield_now().await;
    assert!(!sleeper.is_finished());
    clock.advance(Duration::from_secs(1));
    sleeper.await.unwrap();
    assert_eq!(clock.elapsed(), Duration::from_secs(10));
    assert_eq!(clock.now().to_string(), "2026-01-01T00:00:10Z");
    assert_eq!(clock.slept(), 1);
}

#[tokio::test]
async fn a_cancelled_sleeper_is_not_waited_for() {
    let clock = Arc::new(TestClock::default());
    let sleeper = tokio::spawn({
        let clock = Arc::clone(&clock);
        async move { clock.sleep(Duration::from_secs(10)).await }
    });
    clock.until_sleeping(1).await;
    sleeper.abort();
    sleeper.await.unwrap_err();
    assert_eq!(*clock.sleeping.borrow(), 0);
}
