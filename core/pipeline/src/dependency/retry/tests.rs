//! The waits grow, stay below their cap, and differ from moment to moment but not from run to run.

use super::*;
use tallyhouse_testing::TestClock;

fn waits(clock: &TestClock) -> Vec<Duration> {
    RetryPolicy::default().waits(clock).take(20).collect()
}

#[test]
fn waits_double_up_to_a_cap_with_as_much_again_at_random() {
    let policy = RetryPolicy::default();
    let mut least = policy.wait_min;
    for wait in waits(&TestClock::default()) {
        assert!(wait >= least && wait <= 2 * least, "{wait:?} is not {least:?} to twice that");
        least = (2 * least).min(policy.wait_max);
    }
}

#[test]
fn the_moment_decides_the_random_part() {
    let clock = TestClock::default();
    let waits_now = waits(&clock);
    assert_eq!(waits(&TestClock::default()), waits_now);
    clock.advance(Duration::from_micros(1));
    assert_ne!(waits(&clock), waits_now);
}
