//! One of many is let through.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_of_many_passes_and_says_how_many_did_not() {
    let log_throttle = LogThrottle::new();
    assert_eq!(log_throttle.try_pass(), Some(0));
    for _ in 0..100 {
        assert_eq!(log_throttle.try_pass(), None);
    }
    tokio::time::advance(EVERY).await;
    assert_eq!(log_throttle.try_pass(), Some(100));
    assert_eq!(log_throttle.try_pass(), None);
}
