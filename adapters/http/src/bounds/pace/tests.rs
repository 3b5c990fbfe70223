//! When a transfer is too slow.

use tokio::time::advance;

use super::*;

const LIMIT: PaceLimit = PaceLimit { grace: Duration::from_secs(30), bytes_per_second_min: 4_096 };

/// Moves so many bytes each second, and returns the second at which the credit is used up, of a thousand.
async fn over_after(bytes_per_second: usize, limit: PaceLimit) -> Option<usize> {
    let mut pace = Pace::new(limit);
    pace.owes();
    for second in 1..=1_000 {
        advance(Duration::from_secs(1)).await;
        pace.moved(bytes_per_second);
        if pace.is_over() {
            return Some(second);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn the_silent_and_the_slow_use_up_their_credit_and_nobody_else() {
    assert_eq!(over_after(0, LIMIT).await, Some(30));
    assert!(matches!(over_after(1, LIMIT).await, Some(30..=31)));
    assert!(matches!(over_after(1_024, LIMIT).await, Some(38..=42)));
    assert!(matches!(over_after(4_000, LIMIT).await, None | Some(900..)));
    assert_eq!(over_after(4_096, LIMIT).await, None);
    assert_eq!(over_after(1, PaceLimit { bytes_per_second_min: 0, ..LIMIT }).await, None);
}

#[tokio::test(start_paused = true)]
async fn our_own_time_costs_nothing() {
    let mut pace = Pace::new(LIMIT);
    advance(Duration::from_secs(100)).await;
    assert!(!pace.is_over());
    pace.owes();
    advance(Duration::from_secs(29)).await;
    pace.rests();
    advance(Duration::from_secs(100)).await;
    assert!(!pace.is_over());
    pace.owes();
    advance(Duration::from_secs(1)).await;
    assert!(pace.is_over());
    pace.caught_up();
    pace.owes();
    advance(Duration::from_secs(29)).await;
    assert!(!pace.is_over());
}

#[tokio::test(start_paused = true)]
async fn who_is_hurried_has_less_credit_from_then_on() {
    let mut pace = Pace::new(LIMIT);
    pace.owes();
    pace.hurry(Duration::from_secs(5));
    pace.moved(1 << 30);
    advance(Duration::from_secs(4)).await;
    assert!(!pace.is_over());
    advance(Duration::from_secs(1)).await;
    assert!(pace.is_over());
}
