//! Roll-ups come neither too often nor too late, and one at a time.

use super::*;

#[test]
fn enough_records_are_rolled_up_at_once_and_the_next_ones_after_a_pause() {
    let (schedule, start) = (RollUpSchedule::default(), Instant::now());
    assert!(!schedule.committed(ROLL_UP_FROM - 1, start));
    assert!(schedule.committed(1, start));
    assert!(!schedule.committed(ROLL_UP_AT_ONCE_FROM, start), "one roll-up at a time");
    assert!(!schedule.found(ROLL_UP_AT_ONCE_FROM));
    schedule.end(start);

    let schedule = RollUpSchedule::default();
    assert!(schedule.committed(ROLL_UP_FROM, start));
    schedule.end(start);
    assert!(!schedule.committed(ROLL_UP_FROM, start + RollUpSchedule::PAUSE - Duration::from_millis(1)));
    assert!(schedule.committed(0, start + RollUpSchedule::PAUSE));
    schedule.end(start + RollUpSchedule::PAUSE);
    assert!(
        !schedule.committed(ROLL_UP_FROM - 1, start + 3 * RollUpSchedule::PAUSE),
        "the earlier records are rolled up"
    );
}

#[test]
fn very_many_records_and_a_query_do_not_wait_for_the_pause() {
    let (schedule, now) = (RollUpSchedule::default(), Instant::now());
    assert!(schedule.begin());
    schedule.end(now);
    assert!(!schedule.committed(ROLL_UP_AT_ONCE_FROM - 1, now));
    assert!(schedule.committed(1, now));
    schedule.end(now);
    assert!(!schedule.found(ROLL_UP_FROM - 1));
    assert!(schedule.found(ROLL_UP_FROM));
    assert!(!schedule.begin());
}
