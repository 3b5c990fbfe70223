//! The clock shows the time of day, and sleeps by tokio's timer.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_sleep_takes_its_duration_by_the_timer_of_tokio() {
    let clock = TokioClock::start();
    clock.sleep(Duration::from_secs(3_600)).await;
    assert_eq!(clock.elapsed(), Duration::from_secs(3_600));
}

fn system_micros() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the clock is compared with its source")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[test]
fn the_time_of_day_is_that_of_the_system() {
    let (before, now, after) = (system_micros(), TokioClock::start().now().as_micros(), system_micros());
    assert!((before..=after).contains(&now), "{before} {now} {after}");
}
