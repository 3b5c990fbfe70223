//! Submissions keep their order, also when a predecessor fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{FuturesOrdered, StreamExt as _};
use tallyhouse_core::ports::{Batch, PortErrorKind, RecordReader as _};
use tallyhouse_core::{Outcome, RecordId};
use tallyhouse_testing::generate;

use super::*;
use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;
use crate::test_harness::{Instance, arrivals, eventually};

/// A store that pipelines commits, with writers enough for two.
fn instance() -> Instance {
    let instance = instance_without_pipelining();
    instance.repository.starts_early.store(true, Ordering::SeqCst);
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_millis(10);
    instance
}

fn instance_without_pipelining() -> Instance {
    Instance::start(PipelineSettings { writers: 4, join_records_min: 1, ..PipelineSettings::default() })
}

/// Three records of one key, with ids by their number.
fn chunk(number: usize) -> Vec<Arrival> {
    let record = |i: usize| generate::record(&format!("r-{}", 3 * number + i), "d", "", "1", "EUR").into();
    (0..3).map(record).collect()
}

/// Submits all chunks at once, and returns the number of those that succeeded.
async fn submit_chunks(instance: &Instance, chunks: usize) -> usize {
    let mut ordered = instance.pipeline.ingress().ordered();
    let (mut in_flight, mut done) = (FuturesOrdered::new(), 0);
    for number in 0..chunks {
        in_flight.push_back(ordered.submit(chunk(number)));
    }
    while let Some(answer) = in_flight.next().await {
        match answer {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, SubmitError::Unavailable(None)),
        }
    }
    done
}

/// Checks that exactly the records of the first chunks are stored, in their order.
async fn check_stored(instance: &Instance, chunks: usize) {
    assert_eq!(instance.repository.head().await.unwrap(), 3 * chunks as u64);
    for i in 0..3 * chunks {
        let id = RecordId::new(&format!("r-{i}")).unwrap();
        let stored = instance.repository.find(&id).await.unwrap().unwrap();
        assert_eq!(stored.processed.sequence, i as u64 + 1, "record {i}");
    }
}

/// Fails the first commits of a chunk.
fn fail(instance: &Instance, number: usize, kind: PortErrorKind, times: usize) {
    let id = format!("r-{}", 3 * number);
    let failed = AtomicUsize::new(0);
    instance.repository.fail_commits(move |batch: &Batch| {
        let is_meant = batch.arrivals.iter().any(|arrival| arrival.record.record_id.as_str() == id);
        (is_meant && failed.fetch_add(1, Ordering::SeqCst) < times).then_some(kind)
    });
}

#[tokio::test(start_paused = true)]
async fn two_submissions_are_in_flight_at_once_in_their_order() {
    let instance = instance();
    assert_eq!(submit_chunks(&instance, 20).await, 20);
    check_stored(&instance, 20).await;
    assert_eq!(instance.repository.early_most.load(Ordering::SeqCst), OrderedIngress::IN_FLIGHT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_pipeline_commits_one_after_the_other() {
    let instance = instance_without_pipelining();
    assert_eq!(submit_chunks(&instance, 20).await, 20);
    check_stored(&instance, 20).await;
}

#[tokio::test(start_paused = true)]
async fn a_retried_submission_still_precedes_its_successors() {
    for times in 1..4 {
        let instance = instance();
        fail(&instance, 7, PortErrorKind::Unavailable, times);
        assert_eq!(submit_chunks(&instance, 20).await, 20);
        check_stored(&instance, 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn successors_of_a_submission_without_an_outcome_have_none_either() {
    for early in [true, false] {
        let instance = instance();
        instance.repository.starts_early.store(early, Ordering::SeqCst);
        fail(&instance, 7, PortErrorKind::Unavailable, usize::MAX);
        assert_eq!(submit_chunks(&instance, 20).await, 7);
        check_stored(&instance, 7).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_record_is_bisected_out_before_the_next_chunks_are_done() {
    let instance = instance();
    let poisonous = |arrival: &Arrival| arrival.record.record_id.as_str() == "r-22";
    let refuse = move |batch: &Batch| batch.arrivals.iter().any(poisonous).then_some(PortErrorKind::Refused);
    instance.repository.fail_commits(refuse);
    assert_eq!(submit_chunks(&instance, 20).await, 20);
    assert_eq!(instance.repository.head().await.unwrap(), 59);
    let mut last = 0;
    for number in 0..20 {
        let mut sequences = Vec::new();
        for arrival in chunk(number) {
            if let Some(stored) = instance.repository.find(&arrival.record.record_id).await.unwrap() {
                sequences.push(stored.processed.sequence);
            }
        }
        // Within the chunk, bisection changes the order.
        assert_eq!(sequences.iter().min(), Some(&(last + 1)), "chunk {number}");
        last += sequences.len() as u64;
        assert_eq!(sequences.iter().max(), Some(&last), "chunk {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn unordered_submissions_do_not_wait_for_ordered_ones() {
    let instance = instance();
    let ingress = instance.pipeline.ingress();
    let mut ordered = ingress.ordered();
    fail(&instance, 0, PortErrorKind::Unavailable, usize::MAX);
    let first = tokio::spawn(ordered.submit(chunk(0)));
    eventually(|| instance.repository.early_most.load(Ordering::SeqCst) == 1).await;
    let began = tokio::time::Instant::now();
    // Both are in the intake before a writer takes them.
    let second = tokio::spawn(ordered.submit(chunk(1)));
    let beside = ingress.submit(arrivals("beside", 5)).await.unwrap();
    assert!(beside.iter().all(|outcome| matches!(outcome, Outcome::Processed(_))));
    assert!(began.elapsed() < Duration::from_secs(1) && !first.is_finished() && !second.is_finished());
    assert_eq!(first.await.unwrap(), Err(SubmitError::Unavailable(None)));
    assert_eq!(second.await.unwrap(), Err(SubmitError::Unavailable(None)));
    assert_eq!(instance.repository.head().await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_is_cancelled_before_it_enters_fails_its_successors() {
    let instance = instance();
    let mut ordered = instance.pipeline.ingress().ordered();
    let first = ordered.submit(chunk(0));
    drop(ordered.submit(chunk(1)));
    let third = ordered.submit(chunk(2));
    assert_eq!(first.await.unwrap().len(), 3);
    assert_eq!(third.await, Err(SubmitError::Unavailable(None)));
    assert_eq!(ordered.submit(Vec::new()).await, Ok(Vec::new()), "an empty submission has no order");
    check_stored(&instance, 1).await;
}
