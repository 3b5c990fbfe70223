//! Tests of the cache: few polls, each with a deadline.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};

use tallyhouse_pipeline::ports::PortErrorKind;
use tokio::time::sleep;

use super::*;

const POLL_TIMEOUT: Duration = Duration::from_secs(1);
const FRESH_FOR: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn concurrent_reads_share_one_poll_until_it_is_stale() {
    let (cached, polls) = (CachedPoll::new(POLL_TIMEOUT, FRESH_FOR), AtomicUsize::new(0));
    let read = || {
        cached.read(async {
            sleep(Duration::from_millis(100)).await;
            Ok(polls.fetch_add(1, Ordering::SeqCst) + 1)
        })
    };
    assert_eq!(tokio::join!(read(), read(), read()), (Some(1), Some(1), Some(1)));
    sleep(FRESH_FOR - Duration::from_millis(1)).await;
    assert_eq!(read().await, Some(1));
    sleep(Duration::from_millis(2)).await;
    assert_eq!(read().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_an_answer_times_out_and_is_not_repeated_while_fresh() {
    let cached = CachedPoll::new(POLL_TIMEOUT, FRESH_FOR);
    let began = Instant::now();
    assert_eq!(cached.read(pending::<Result<u8, PortError>>()).await, None);
    assert_eq!(began.elapsed(), POLL_TIMEOUT);
    assert_eq!(cached.read(ready(Ok(1))).await, None);
    sleep(FRESH_FOR).await;
    assert_eq!(cached.read(ready(Ok(1))).await, Some(1));

    let cached = CachedPoll::<u8>::new(POLL_TIMEOUT, FRESH_FOR);
    let away = || PortError::new(PortErrorKind::Unavailable, "polling", "away");
    assert_eq!(cached.read(ready(Err(away()))).await, None);
}
