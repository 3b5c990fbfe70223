//! Submissions keep their order, whatever becomes of the one before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tallyhouse_core::ports::{Batch, PortErrorKind, RecordReader as _};
use tallyhouse_core::{Outcome, RecordId};
use tallyhouse_testing::generate;

use futures::stream::{FuturesOrdered, StreamExt as _};

use super::*;
use crate::harness::{Instance, arrivals, eventually};
use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;

/// A store that lets the next batch begin before the last one is committed, with writers enough for both.
fn instance() -> Instance {
    let instance = lazy_instance();
    instance.repository.starts_early.store(true, Ordering::SeqCst);
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_millis(10);
    instance
}

fn lazy_instance() -> Instance {
    Instance::start(PipelineSettings { writers: 4, join_records_min: 1, ..PipelineSettings::default() })
}

/// Three records of one key, with ids by their number.
fn chunk(number: usize) -> Vec<Arrival> {
    let record = |i: usize| generate::record(&format!("r-{}", 3 * number + i), "d", "", "1", "EUR").into();
    (0..3).map(record).collect()
}

/// Submits chunks as long as they succeed, as many at once as may be, and returns how many did.
async fn submit_chunks(instance: &Instance, chunks: usize) -> usize {
    let mut ordered = instance.pipeline.ingress().ordered();
    let (mut under_way, mut done) = (FuturesOrdered::new(), 0);
    for number in 0..chunks {
        under_way.push_back(ordered.submit(chunk(number)));
    }
    while let Some(answer) = under_way.next().await {
        match answer {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, SubmitError::Unavailable(None)),
        }
    }
    done
}

/// Checks that just the records of the first chunks are stored, in their order.
async fn check_stored(instance: &Instance, chunks: usize) {
    assert_eq!(instance.repository.head().await.unwrap(), 3 * chunks as u64);
    for i in 0..3 * chunks {
        let id = RecordId::new(&format!("r-{i}")).unwrap();
        let stored = instance.repository.find(&id).await.unwrap().unwrap();
        assert_eq!(stored.processed.sequence, i as u64 + 1, "record {i}");
    }
}

/// Fails commits of records of a chunk, the first so many times.
fn fail(instance: &Instance, number: usize, kind: PortErrorKind, times: usize) {
    let id = format!("r-{}", 3 * number);
    let failed = AtomicUsize::new(0);
    instance.repository.fail_commits(move |batch: &Batch| {
        let is_meant = batch.arrivals.iter().any(|arrival| arrival.record.record_id.as_str() == id);
        (is_meant && failed.fetch_add(1, Ordering::SeqCst) < times).then_some(kind)
    });
}

#[tokio::test(start_paused = true)]
async fn two_submissions_are_under_way_at_once_in_their_order() {
    let instance = instance();
    assert_eq!(submit_chunks(&instance, 20).await, 20);
    check_stored(&instance, 20).await;
    assert_eq!(instance.repository.early_most.load(Ordering::SeqCst), OrderedIngress::UNDER_WAY_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_begins_nothing_early_does_one_after_the_other() {
    let instance = lazy_instance();
    assert_eq!(submit_chunks(&instance, 20).await, 20);
    check_stored(&instance, 20).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_still_comes_before_what_was_begun_behind_it() {
    for times in 1..4 {
        let instance = instance();
        fail(&instance, 7, PortErrorKind::Unavailable, times);
        assert_eq!(submit_chunks(&instance, 20).await, 20);
        check_stored(&instance, 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_one_has_no_outcome_nor_have_those_behind_it() {
    for early in [true, false] {
        let instance = instance();
        instance.repository.starts_early.store(early, Ordering::SeqCst);
        fail(&instance, 7, PortErrorKind::Unavailable, usize::MAX);
        assert_eq!(submit_chunks(&instance, 20).await, 7);
        check_stored(&instance, 7).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_store_refuses_is_sought_before_the_next_ones_are_done() {
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
        // Within its chunk, the search takes an order of its own.
        assert_eq!(sequences.iter().min(), Some(&(last + 1)), "chunk {number}");
        last += sequences.len() as u64;
        assert_eq!(sequences.iter().max(), Some(&last), "chunk {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_without_order_does_not_wait_for_those_who_have_one() {
    let instance = instance();
    let ingress = instance.pipeline.ingress();
    let mut ordered = ingress.ordered();
    fail(&instance, 0, PortErrorKind::Unavailable, usize::MAX);
    let first = tokio::spawn(ordered.submit(chunk(0)));
    eventually(|| instance.repository.early_most.load(Ordering::SeqCst) == 1).await;
    let began = tokio::time::Instant::now();
    // Both enter the intake before a writer takes them.
    let second = tokio::spawn(ordered.submit(chunk(1)));
    let beside = ingress.submit(arrivals("beside", 5)).await.unwrap();
    assert!(beside.iter().all(|outcome| matches!(outcome, Outcome::Processed(_))));
    assert!(began.elapsed() < Duration::from_secs(1) && !first.is_finished() && !second.is_finished());
    assert_eq!(first.await.unwrap(), Err(SubmitError::Unavailable(None)));
    assert_eq!(second.await.unwrap(), Err(SubmitError::Unavailable(None)));
    assert_eq!(instance.repository.head().await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_is_cancelled_before_it_has_entered_fails_those_behind_it() {
    let instance = instance();
    let mut ordered = instance.pipeline.ingress().ordered();
    let first = ordered.submit(chunk(0));
    drop(ordered.submit(chunk(1)));
    let third = ordered.submit(chunk(2));
    assert_eq!(first.await.unwrap().len(), 3);
    assert_eq!(third.await, Err(SubmitError::Unavailable(None)));
    assert_eq!(ordered.submit(Vec::new()).await, Ok(Vec::new()), "nothing to keep in order");
    check_stored(&instance, 1).await;
}
