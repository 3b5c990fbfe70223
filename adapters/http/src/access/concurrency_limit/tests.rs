//! ConcurrencyLimit are taken, waited for, and given back.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_more_than_there_is_room_for_waits_a_moment_and_is_refused() {
    let [caller, other] = ["a", "b"].map(|name| Caller::Key(name.into()));
    let permits = ConcurrencyLimit::new(2, Duration::from_secs(1), "answers");
    let (first, _second) = (permits.try_acquire(&caller).await.unwrap(), permits.try_acquire(&other).await.unwrap());
    let began = tokio::time::Instant::now();
    permits.try_acquire(&caller).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let (third, ()) = tokio::join!(permits.try_acquire(&caller), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(first);
    });
    third.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(1500));
}
