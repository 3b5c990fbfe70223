//! Foldings come neither too often nor too late, and one at a time.

use super::*;

#[test]
fn enough_records_are_folded_at_once_and_the_next_ones_after_a_pause() {
    let (schedule, start) = (RollUpSchedule::default(), Instant::now());
    assert!(!schedule.committed(FOLD_AFTER - 1, start));
    assert!(schedule.committed(1, start));
    assert!(!schedule.committed(FOLD_AT_LAST, start), "one folding at a time");
    assert!(!schedule.found(FOLD_AT_LAST));
    schedule.end(start);

    let schedule = RollUpSchedule::default();
    assert!(schedule.committed(FOLD_AFTER, start));
    schedule.end(start);
    assert!(!schedule.committed(FOLD_AFTER, start + RollUpSchedule::PAUSE - Duration::from_millis(1)));
    assert!(schedule.committed(0, start + RollUpSchedule::PAUSE));
    schedule.end(start + RollUpSchedule::PAUSE);
    assert!(!schedule.committed(FOLD_AFTER - 1, start + 3 * RollUpSchedule::PAUSE), "those before are folded");
}

#[test]
fn very_many_records_do_not_wait_for_the_pause_and_nor_does_a_question() {
    let (schedule, now) = (RollUpSchedule::default(), Instant::now());
    assert!(schedule.begin());
    schedule.end(now);
    assert!(!schedule.committed(FOLD_AT_LAST - 1, now));
    assert!(schedule.committed(1, now));
    schedule.end(now);
    assert!(!schedule.found(FOLD_AFTER - 1));
    assert!(schedule.found(FOLD_AFTER));
    assert!(!schedule.begin());
}
