//! Two chunks are in flight at once, and their results come in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tallyhouse_core::ports::{Batch, PortErrorKind, RecordReader as _};
use tallyhouse_core::{Outcome, RecordId};
use tallyhouse_testing::generate;

use super::*;
use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;
use crate::test_harness::Instance;

fn instance() -> Instance {
    let instance = Instance::start(PipelineSettings { writers: 4, join_records_min: 1, ..PipelineSettings::default() });
    instance.repository.starts_early.store(true, Ordering::SeqCst);
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_millis(10);
    instance
}

/// Two records of one key, with ids by their number.
fn chunk(number: usize) -> Vec<Arrival> {
    (0..2).map(|i| generate::record(&format!("r-{}", 2 * number + i), "d", "", "1", "EUR").into()).collect()
}

/// Pushes a chunk whose result is its number and its answer.
fn push(chunks: &mut OrderedChunks<(usize, Answer)>, number: usize) {
    chunks.push(chunk(number), move |submission| async move { (number, submission.await) });
}

fn sequences(outcomes: &[Outcome]) -> Vec<u64> {
    let sequence = |outcome: &Outcome| match outcome {
        Outcome::Processed(stored) => stored.processed.sequence,
        other => panic!("{other:?}"),
    };
    outcomes.iter().map(sequence).collect()
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_chunks_with_two_in_flight() {
    let instance = instance();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    let (mut pushed, mut yielded) = (0, 0);
    while pushed < 20 || !chunks.is_empty() {
        while pushed < 20 && chunks.has_capacity() {
            push(&mut chunks, pushed);
            pushed += 1;
        }
        let (number, answer) = chunks.next().await.unwrap();
        assert_eq!(number, yielded);
        let first = 2 * number as u64 + 1;
        assert_eq!(sequences(&answer.unwrap()), [first, first + 1]);
        yielded += 1;
    }
    assert_eq!(yielded, 20);
    assert_eq!(instance.repository.early_most.load(Ordering::SeqCst), OrderedIngress::IN_FLIGHT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_push_takes_the_chunk_into_the_intake() {
    let instance = instance();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    push(&mut chunks, 0);
    assert_eq!(instance.pipeline.depth(), 2);
    drop(chunks);
    // The chunk is committed although nobody awaits its result.
    let id = RecordId::new("r-1").unwrap();
    while instance.repository.find(&id).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_pushed_without_room_waits() {
    let instance = instance();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    (0..5).for_each(|number| push(&mut chunks, number));
    assert!(!chunks.has_capacity() && chunks.len() == 5);
    for number in 0..5 {
        let (yielded, answer) = chunks.next().await.unwrap();
        assert_eq!((yielded, answer.unwrap().len()), (number, 2));
    }
    assert!(chunks.next().await.is_none() && chunks.is_empty() && chunks.has_capacity());
    assert_eq!(instance.repository.early_most.load(Ordering::SeqCst), OrderedIngress::IN_FLIGHT_MAX);
}

#[tokio::test(start_paused = true)]
async fn chunks_after_a_failed_one_fail_with_it() {
    let instance = instance();
    instance.repository.fail_commits(|batch: &Batch| {
        let is_meant = batch.arrivals.iter().any(|arrival| arrival.record.record_id.as_str() == "r-2");
        is_meant.then_some(PortErrorKind::Unavailable)
    });
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    (0..3).for_each(|number| push(&mut chunks, number));
    assert!(chunks.next().await.unwrap().1.is_ok());
    assert_eq!(chunks.next().await.unwrap().1, Err(SubmitError::Unavailable(None)));
    assert_eq!(chunks.next().await.unwrap().1, Err(SubmitError::Unavailable(None)));
    assert_eq!(instance.repository.head().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn work_before_the_submission_holds_its_place_in_the_order() {
    let instance = instance();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    chunks.push(chunk(0), |submission| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (0, submission.await)
    });
    push(&mut chunks, 1);
    assert_eq!(sequences(&chunks.next().await.unwrap().1.unwrap()), [1, 2]);
    assert_eq!(sequences(&chunks.next().await.unwrap().1.unwrap()), [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_chunks_cancels_their_work() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let instance = instance();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    chunks.push(chunk(0), |submission| async move {
        drop(submission.await);
        DONE.store(true, Ordering::SeqCst);
    });
    drop(chunks);
    instance.stop().await;
    assert!(!DONE.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn an_empty_chunk_and_one_that_is_refused_at_once_yield_their_results() {
    let instance = instance();
    instance.pipeline.close();
    let mut chunks = OrderedChunks::new(&instance.pipeline.ingress());
    chunks.push(Vec::new(), |submission| submission);
    chunks.push(chunk(0), |submission| submission);
    assert_eq!(chunks.next().await, Some(Ok(Vec::new())));
    assert_eq!(chunks.next().await, Some(Err(SubmitError::Stopped)));
}
