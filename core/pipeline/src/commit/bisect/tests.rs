//! A poisonous record is rejected, its neighbours are committed, and no other record is rejected.

use std::sync::Arc;

use tallyhouse_core::ports::{Batch, PortErrorKind};
use tallyhouse_core::{Outcome, RecordId};

use crate::commit::bisect::PoisonTracker;
use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;
use crate::test_harness::{Instance, arrivals};

/// Refuses every batch with one of these records.
fn poison(ids: &[usize], kind: PortErrorKind) -> impl Fn(&Batch) -> Option<PortErrorKind> + Send + Sync + 'static {
    let ids: Vec<String> = ids.iter().map(|i| format!("r-{i}")).collect();
    move |batch| {
        let poisonous = |id: &str| ids.iter().any(|poison| poison == id);
        batch.arrivals.iter().any(|arrival| poisonous(arrival.record.record_id.as_str())).then_some(kind)
    }
}

/// Commits `n` records of which some are poisonous, and checks that just these are rejected.
async fn check(n: usize, poisonous: &[usize]) {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.fail_commits(poison(poisonous, PortErrorKind::Refused));
    let ingress = instance.pipeline.ingress();
    let outcomes = ingress.submit(arrivals("r", n)).await.unwrap_or_else(|error| panic!("{n}, {poisonous:?}: {error}"));
    for (i, outcome) in outcomes.iter().enumerate() {
        let expected = if poisonous.contains(&i) { "rejected" } else { "processed" };
        assert_eq!(outcome.name(), expected, "record {i} of {n}, poison {poisonous:?}");
    }
    let tries = instance.repository.batches.lock().unwrap().len();
    assert!(tries <= 4 + 26 * poisonous.len(), "{tries} tries");
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_record_is_rejected_wherever_it_stands_and_its_neighbours_are_committed() {
    for place in [1, 499, 500, 998, 999] {
        check(1_000, &[place]).await;
    }
    check(3, &[1]).await;
    check(3, &[2]).await;
    check(2, &[1]).await;
}

#[tokio::test(start_paused = true)]
async fn several_poisonous_records_are_rejected() {
    check(1_000, &[3, 4, 777]).await;
    check(1_000, &[998, 999]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_commit_rejects_no_record() {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.fail_commits(|_| Some(PortErrorKind::Refused));
    let ingress = instance.pipeline.ingress();
    for _ in 0..3 {
        assert_eq!(ingress.submit(arrivals("r", 10)).await, Err(SubmitError::Unavailable(None)));
    }
    instance.repository.fail_commits(|_| None);
    assert!(ingress.submit(arrivals("r", 10)).await.unwrap().iter().all(|outcome| outcome.name() == "processed"));
}

#[tokio::test(start_paused = true)]
async fn a_lone_poisonous_record_is_rejected_once_others_were_stored_in_between() {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.fail_commits(poison(&[0], PortErrorKind::Refused));
    let ingress = instance.pipeline.ingress();
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    ingress.submit(arrivals("other", 1)).await.unwrap();
    let outcomes = ingress.submit(arrivals("r", 1)).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::Rejected(rejection) if rejection.record_id.is_some()), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_record_of_a_batch_is_rejected_when_it_is_submitted_again() {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.fail_commits(poison(&[0], PortErrorKind::Refused));
    let ingress = instance.pipeline.ingress();
    let answers = futures::future::join_all(arrivals("r", 3).into_iter().map(|a| ingress.submit(vec![a]))).await;
    assert_eq!(answers[0], Err(SubmitError::Unavailable(None)));
    assert!(answers[1..].iter().all(|answer| answer.as_ref().unwrap()[0].name() == "processed"));
    ingress.submit(arrivals("other", 1)).await.unwrap();
    assert_eq!(ingress.submit(arrivals("r", 1)).await.unwrap()[0].name(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn corrupt_data_in_the_store_rejects_no_record_and_delays_no_other() {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.fail_commits(poison(&[1], PortErrorKind::Corrupt));
    let ingress = Arc::new(instance.pipeline.ingress());
    let answers = futures::future::join_all(arrivals("r", 3).into_iter().map(|a| ingress.submit(vec![a]))).await;
    assert_eq!(answers[0].as_ref().unwrap()[0].name(), "processed");
    assert_eq!(answers[1], Err(SubmitError::Unavailable(None)));
    assert_eq!(answers[2].as_ref().unwrap()[0].name(), "processed");
}

#[test]
fn only_a_commit_strictly_between_two_refusals_proves_poison() {
    let (tracker, id) = (PoisonTracker::default(), RecordId::new("r").unwrap());
    let in_flight = tracker.begin();
    assert!(!tracker.refused_alone(&id, tracker.begin()));
    // Storage may have done it before it refused anything.
    tracker.stored(in_flight);
    assert!(!tracker.refused_alone(&id, tracker.begin()));
    // The refusal may be older than the commit that stored something.
    let (between, beside) = (tracker.begin(), tracker.begin());
    tracker.stored(between);
    assert!(!tracker.refused_alone(&id, beside));
    assert!(tracker.refused_alone(&id, tracker.begin()));
}
