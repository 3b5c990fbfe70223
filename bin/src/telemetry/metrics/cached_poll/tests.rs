//! However often somebody looks, a dependency is asked seldom, and never for long.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};

use tallyhouse_pipeline::ports::PortErrorKind;
use tokio::time::sleep;

use super::*;

const PATIENCE: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_a_while_and_asked_for_once_at_a_time() {
    let (asked, questions) = (CachedPoll::new(PATIENCE, KEPT), AtomicUsize::new(0));
    let ask = || {
        asked.answer(async {
            sleep(Duration::from_millis(100)).await;
            Ok(questions.fetch_add(1, Ordering::SeqCst) + 1)
        })
    };
    assert_eq!(tokio::join!(ask(), ask(), ask()), (Some(1), Some(1), Some(1)));
    sleep(KEPT - Duration::from_millis(1)).await;
    assert_eq!(ask().await, Some(1));
    sleep(Duration::from_millis(2)).await;
    assert_eq!(ask().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_does_not_answer_holds_nobody_up_and_is_left_alone_for_a_while() {
    let asked = CachedPoll::new(PATIENCE, KEPT);
    let began = Instant::now();
    assert_eq!(asked.answer(pending::<Result<u8, PortError>>()).await, None);
    assert_eq!(began.elapsed(), PATIENCE);
    assert_eq!(asked.answer(ready(Ok(1))).await, None);
    sleep(KEPT).await;
    assert_eq!(asked.answer(ready(Ok(1))).await, Some(1));

    let asked = CachedPoll::<u8>::new(PATIENCE, KEPT);
    let away = || PortError::new(PortErrorKind::Unavailable, "asking", "away");
    assert_eq!(asked.answer(ready(Err(away()))).await, None);
}
