//! The waits grow up to their cap, and their jitter depends on the clock alone.

use tallyhouse_testing::TestClock;

use super::*;

fn waits(clock: &TestClock) -> Vec<Duration> {
    RetryPolicy::default().waits(clock).take(20).collect()
}

#[test]
fn waits_double_up_to_a_cap_and_jitter_at_most_doubles_them() {
    let policy = RetryPolicy::default();
    let mut least = policy.wait_min;
    for wait in waits(&TestClock::default()) {
        assert!(wait >= least && wait <= 2 * least, "{wait:?} is not {least:?} to twice that");
        least = (2 * least).min(policy.wait_max);
    }
}

#[test]
fn the_clock_seeds_the_jitter() {
    let clock = TestClock::default();
    let waits_now = waits(&clock);
    assert_eq!(waits(&TestClock::default()), waits_now);
    clock.advance(Duration::from_micros(1));
    assert_ne!(waits(&clock), waits_now);
}
