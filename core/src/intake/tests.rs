//! Lanes are served in turn, and a close wakes everyone. Room and refusals are shown by the pipeline's tests.

use super::*;
use crate::harness::arrivals;

fn filled(lanes: &[usize]) -> Lanes {
    let queue = |n: &usize| (0..*n).map(|i| waiting(&format!("{n}-{i}"), 1)).collect();
    Lanes { lanes: lanes.iter().map(queue).collect(), ..Lanes::default() }
}

fn waiting(prefix: &str, records: usize) -> Waiting {
    let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    Waiting {
        arrivals: arrivals(prefix, records),
        reply: oneshot::channel().0,
        room: Room { _records: permit(), _bytes: permit() },
    }
}

#[track_caller]
fn check(lanes: &mut Lanes, records_max: usize, expected_left: &[usize]) {
    lanes.take(records_max);
    let left: Vec<usize> = lanes.lanes.iter().map(VecDeque::len).collect();
    assert_eq!(left, expected_left);
}

#[test]
fn lanes_are_served_in_turn() {
    let mut lanes = filled(&[10, 2, 0, 10]);
    check(&mut lanes, 6, &[8, 0, 0, 8]);
    check(&mut lanes, 5, &[5, 0, 0, 6]);
    check(&mut lanes, 100, &[0, 0, 0, 0]);
    assert!(lanes.take(100).is_empty());
}

#[test]
fn the_first_is_taken_whatever_its_size_and_the_batch_stays_below_its_limit_after_it() {
    let mut lanes = Lanes::default();
    lanes.lanes.push([waiting("large", 50), waiting("next", 1)].into());
    assert_eq!(lanes.take(10).len(), 1);
    assert_eq!(lanes.take(10).len(), 1);

    lanes.lanes[0].extend([waiting("a", 6), waiting("b", 6)]);
    assert_eq!(lanes.take(10).len(), 1, "the second does not fit");
}

#[tokio::test]
async fn a_close_wakes_whoever_waits() {
    let intake = Arc::new(Intake::default());
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let intake = Arc::clone(&intake);
            tokio::spawn(async move { intake.take(10).await })
        })
        .collect();
    tokio::task::yield_now().await;
    intake.close();
    for taker in waiting {
        assert!(taker.await.unwrap().is_none());
    }
}
