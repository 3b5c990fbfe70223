//! What is kept as intervals end: on time, late, and after the clock was set back.

use super::*;

fn processed(count: u64) -> OutcomeCounts {
    OutcomeCounts { processed: count, ..OutcomeCounts::default() }
}

/// Advances from interval 10 with nothing counted, by samples of an interval and a total, and checks what is kept then.
#[track_caller]
fn check(samples: &[(i64, u64)], current: i64, counts: &[u64]) {
    let mut window = Window { current: 10, totals: processed(0), counts: VecDeque::new() };
    for (current, total) in samples {
        window.advance(*current, processed(*total));
    }
    let found: Vec<u64> = window.counts.iter().map(|counts| counts.processed).collect();
    assert_eq!((window.current, &*found), (current, counts), "{samples:?}");
}

#[test]
fn each_interval_has_the_records_since_the_one_before() {
    check(&[], 10, &[]);
    check(&[(10, 5)], 10, &[]);
    check(&[(11, 5)], 11, &[5]);
    check(&[(11, 5), (12, 5), (13, 9)], 13, &[5, 0, 4]);
    // A sample within the interval changes nothing.
    check(&[(11, 5), (11, 7), (12, 9)], 12, &[5, 4]);
}

#[test]
fn a_late_sample_is_spread_and_loses_no_record() {
    check(&[(13, 7)], 13, &[2, 2, 3]);
    check(&[(12, 1), (14, 1)], 14, &[0, 1, 0, 0]);
}

#[test]
fn a_clock_that_was_set_begins_a_new_history() {
    check(&[(11, 5), (4, 8)], 4, &[]);
    check(&[(11, 5), (4, 8), (5, 9)], 5, &[1]);
}

#[test]
fn only_the_last_intervals_are_kept() {
    let samples: Vec<(i64, u64)> = (11..=210).zip((2..=400).step_by(2)).collect();
    check(&samples, 210, &[2; INTERVALS_MAX]);
    check(&[(11, 5), (1_000, 9), (1_001, 10)], 1_001, &[1]);
}
