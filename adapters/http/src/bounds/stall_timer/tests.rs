//! When a transfer is too slow.

use tokio::time::advance;

use super::*;

const LIMIT: MinRate = MinRate { grace: Duration::from_secs(30), bytes_per_second_min: 4_096 };

/// Moves so many bytes each second, and returns the second at which the credit is used up, of a thousand.
async fn expired_after(bytes_per_second: usize, limit: MinRate) -> Option<usize> {
    let mut stall_timer = StallTimer::new(limit);
    stall_timer.resume();
    for second in 1..=1_000 {
        advance(Duration::from_secs(1)).await;
        stall_timer.add_progress(bytes_per_second);
        if stall_timer.is_expired() {
            return Some(second);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn the_silent_and_the_slow_use_up_their_credit_and_nobody_else() {
    assert_eq!(expired_after(0, LIMIT).await, Some(30));
    assert!(matches!(expired_after(1, LIMIT).await, Some(30..=31)));
    assert!(matches!(expired_after(1_024, LIMIT).await, Some(38..=42)));
    assert!(matches!(expired_after(4_000, LIMIT).await, None | Some(900..)));
    assert_eq!(expired_after(4_096, LIMIT).await, None);
    assert_eq!(expired_after(1, MinRate { bytes_per_second_min: 0, ..LIMIT }).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_paused_timer_uses_no_credit() {
    let mut stall_timer = StallTimer::new(LIMIT);
    advance(Duration::from_secs(100)).await;
    assert!(!stall_timer.is_expired());
    stall_timer.resume();
    advance(Duration::from_secs(29)).await;
    stall_timer.pause();
    advance(Duration::from_secs(100)).await;
    assert!(!stall_timer.is_expired());
    stall_timer.resume();
    advance(Duration::from_secs(1)).await;
    assert!(stall_timer.is_expired());
    stall_timer.reset();
    stall_timer.resume();
    advance(Duration::from_secs(29)).await;
    assert!(!stall_timer.is_expired());
}

#[tokio::test(start_paused = true)]
async fn a_shortened_grace_lowers_the_credit() {
    let mut stall_timer = StallTimer::new(LIMIT);
    stall_timer.resume();
    stall_timer.shorten_grace(Duration::from_secs(5));
    stall_timer.add_progress(1 << 30);
    advance(Duration::from_secs(4)).await;
    assert!(!stall_timer.is_expired());
    advance(Duration::from_secs(1)).await;
    assert!(stall_timer.is_expired());
}
