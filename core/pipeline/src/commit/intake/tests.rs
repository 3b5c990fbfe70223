//! Lanes are served round robin, and a close wakes every writer. The tests of the pipeline cover capacity and rejections.

use super::*;
use crate::meter::{self, Meter};
use crate::test_harness::{PausedClock, arrivals};

/// Ten records are worth another batch.
fn intake() -> Arc<Intake> {
    let settings = PipelineSettings { join_records_min: 10, ..PipelineSettings::default() };
    let intake = Arc::new(Intake::new(PausedClock::start(), &settings));
    let semaphore = Arc::new(Semaphore::new(0));
    intake.open_lane([&semaphore, &semaphore]);
    intake
}

fn filled(lanes: &[usize]) -> Lanes {
    let queue = |n: &usize| (0..*n).map(|i| waiting(&format!("{n}-{i}"), 1)).collect();
    Lanes { lanes: lanes.iter().map(queue).collect(), records: lanes.iter().sum(), ..Lanes::default() }
}

fn waiting(prefix: &str, records: usize) -> PendingSubmission {
    let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    PendingSubmission {
        arrivals: arrivals(prefix, records),
        reply: oneshot::channel().0,
        permits: IntakePermits { _records: permit(), _bytes: permit() },
        meter: Meter::new().open("ingress", no_capacity(), no_capacity()),
        since: Duration::ZERO,
        order_slot: None,
    }
}

fn no_capacity() -> meter::Capacity {
    meter::Capacity { semaphore: Arc::new(Semaphore::new(0)), max: 0 }
}

#[track_caller]
fn check(lanes: &mut Lanes, records_max: usize, expected_left: &[usize]) {
    lanes.take(records_max);
    let left: Vec<usize> = lanes.lanes.iter().map(VecDeque::len).collect();
    assert_eq!(left, expected_left);
}

#[test]
fn lanes_are_served_round_robin() {
    let mut lanes = filled(&[10, 2, 0, 10]);
    check(&mut lanes, 6, &[8, 0, 0, 8]);
    check(&mut lanes, 5, &[5, 0, 0, 6]);
    check(&mut lanes, 100, &[0, 0, 0, 0]);
    assert!(lanes.take(100).is_empty());
}

#[test]
fn the_first_submission_may_have_any_size_and_further_ones_must_fit() {
    let mut lanes = Lanes::default();
    lanes.lanes.push([waiting("large", 50), waiting("next", 1)].into());
    lanes.records = 51;
    assert_eq!(lanes.take(10).len(), 1);
    assert_eq!(lanes.take(10).len(), 1);

    lanes.lanes[0].extend([waiting("a", 6), waiting("b", 6)]);
    lanes.records = 12;
    assert_eq!(lanes.take(10).len(), 1, "the second does not fit");
}

#[tokio::test]
async fn a_close_wakes_every_waiting_writer() {
    let intake = intake();
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

/// Pushes one record.
fn push(intake: &Intake) {
    intake.push(0, waiting("r", 1)).unwrap();
}

/// Takes, and returns how many submissions that were and what they are being committed as.
async fn take(intake: &Arc<Intake>) -> (usize, CommitInFlight) {
    let taken = intake.take(1_000).await.expect("the intake is open");
    (taken.waiting.len(), taken.in_flight)
}

/// Returns whether a writer that is ready would take records within the time.
async fn takes_within(intake: &Arc<Intake>, time: Duration) -> bool {
    tokio::time::timeout(time, intake.take(1_000)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn few_records_wait_for_the_end_of_the_commit_in_flight() {
    let intake = intake();
    push(&intake);
    let (_, in_flight) = take(&intake).await;
    (0..9).for_each(|_| push(&intake));
    assert!(!takes_within(&intake, JOIN_WAIT / 2).await);

    let next = tokio::spawn({
        let intake = Arc::clone(&intake);
        async move { take(&intake).await.0 }
    });
    tokio::task::yield_now().await;
    drop(in_flight);
    let began = tokio::time::Instant::now();
    assert_eq!(next.await.unwrap(), 9);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn enough_records_are_taken_beside_a_commit_in_flight() {
    let intake = intake();
    push(&intake);
    let (_, _busy) = take(&intake).await;
    let next = tokio::spawn({
        let intake = Arc::clone(&intake);
        async move { take(&intake).await.0 }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
        push(&intake);
    }
    let began = tokio::time::Instant::now();
    assert_eq!(next.await.unwrap(), 10);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_record_waits_long_for_a_commit_that_does_not_end() {
    let intake = intake();
    let began = tokio::time::Instant::now();
    let mut stuck = Vec::new();
    for n in 0..3 {
        push(&intake);
        stuck.push(take(&intake).await);
        assert_eq!(began.elapsed().as_millis(), JOIN_WAIT.as_millis() * n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_intake_hands_out_waiting_records_at_once() {
    let intake = intake();
    push(&intake);
    let (_, _busy) = take(&intake).await;
    push(&intake);
    intake.close();
    assert!(takes_within(&intake, Duration::ZERO).await);
    assert!(intake.take(1_000).await.is_none());
}
