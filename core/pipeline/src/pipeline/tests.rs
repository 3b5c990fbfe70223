//! A record's life from the ingress to its outcome: batching, capacity, retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tallyhouse_core::ports::{Batch, PortErrorKind};

use super::*;
use crate::read::audit::audit;
use crate::test_harness::{Instance, arrivals, eventually};

fn slow_commits() -> Instance {
    let instance = Instance::start(PipelineSettings { batch_records_max: 100, ..PipelineSettings::default() });
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_millis(10);
    instance
}

#[tokio::test(start_paused = true)]
async fn an_idle_pipeline_commits_at_once_and_a_busy_one_commits_all_that_waits() {
    let instance = slow_commits();
    let ingress = instance.pipeline.ingress();
    let submissions = arrivals("r", 250).into_iter().map(|arrival| ingress.submit(vec![arrival]));
    for outcomes in join_all(submissions).await {
        assert_eq!(outcomes.unwrap()[0].name(), "processed");
    }
    let batches = instance.repository.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 250);
    assert!(batches.len() <= 4 && batches.iter().all(|size| *size <= 100), "{batches:?}");

    assert_eq!(ingress.submit(arrivals("late", 1)).await.unwrap().len(), 1);
    assert_eq!(instance.repository.batches.lock().unwrap().last(), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn each_submission_gets_the_outcomes_of_its_own_records_in_order() {
    let instance = slow_commits();
    let ingress = instance.pipeline.ingress();
    let submissions = (0..20).map(|i| ingress.submit(arrivals(&format!("s{i}"), i)));
    for (i, outcomes) in join_all(submissions).await.into_iter().enumerate() {
        let ids: Vec<String> = outcomes.unwrap().iter().map(|o| o.record_id().unwrap().to_string()).collect();
        assert_eq!(ids, (0..i).map(|n| format!("s{i}-{n}")).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_ingress_rejects_at_once_or_waits_and_leaves_other_ingresses_alone() {
    let settings = PipelineSettings { intake_records_max: 10, batch_records_max: 10, ..PipelineSettings::default() };
    let instance = Instance::start(settings);
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_secs(1);
    let (full, other) = (instance.pipeline.ingress(), instance.pipeline.ingress());

    let first = tokio::spawn({
        let full = full.clone();
        async move { full.submit(arrivals("a", 10)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(full.submit_now(arrivals("b", 1)).await, Err(SubmitError::Overloaded));
    let (waited, beside) = tokio::join!(full.submit(arrivals("c", 10)), other.submit_now(arrivals("d", 1)));
    assert_eq!(waited.unwrap().len(), 10);
    assert_eq!(beside.unwrap().len(), 1);
    assert_eq!(first.await.unwrap().unwrap().len(), 10);
    // The rejected record was not stored.
    assert_eq!(full.submit_now(arrivals("b", 1)).await.unwrap()[0].name(), "processed");
}

#[tokio::test(start_paused = true)]
async fn a_submission_larger_than_the_intake_enters_alone() {
    let settings = PipelineSettings { intake_records_max: 10, intake_bytes_max: 100, ..PipelineSettings::default() };
    let instance = Instance::start(settings);
    assert_eq!(instance.pipeline.ingress().submit(arrivals("r", 50)).await.unwrap().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_one_ingress_does_not_delay_another() {
    let instance = slow_commits();
    let (busy, calm) = (instance.pipeline.ingress(), instance.pipeline.ingress());
    let backlog = join_all((0..50).map(|i| busy.submit(arrivals(&format!("b{i}"), 100))));
    let single = async {
        // The backlog is in the intake before the single record comes.
        tokio::task::yield_now().await;
        calm.submit(arrivals("calm", 1)).await.unwrap();
        instance.repository.batches.lock().unwrap().len()
    };
    let (_, batches_before) = tokio::join!(backlog, single);
    assert!(batches_before <= 3, "{batches_before} batches were committed before the calm ingress's record");
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_retried_until_it_succeeds_or_the_retry_timeout_ends() {
    let instance = Instance::start(PipelineSettings::default());
    let unavailable = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&unavailable);
    instance.repository.fail_commits(move |_| is_down.load(Ordering::SeqCst).then_some(PortErrorKind::Unavailable));

    let later = tokio::spawn({
        let pipeline = instance.pipeline.clone();
        async move { pipeline.process(arrivals("r", 1).remove(0)).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    unavailable.store(false, Ordering::SeqCst);
    assert_eq!(later.await.unwrap().unwrap().name(), "processed");
    assert!(instance.repository.batches.lock().unwrap().len() > 2, "it was attempted more than twice");

    unavailable.store(true, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    let refused = instance.pipeline.process(arrivals("s", 1).remove(0)).await;
    assert_eq!(refused, Err(SubmitError::Unavailable(None)));
    assert!(begun.elapsed() <= PipelineSettings::default().commit_retry_timeout);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_fails_submissions_at_once_and_closes_by_itself_when_storage_is_back() {
    let instance = Instance::start(PipelineSettings::default());
    let unavailable = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&unavailable);
    instance.repository.fail_commits(move |_| is_down.load(Ordering::SeqCst).then_some(PortErrorKind::Unavailable));
    let (ingress, breaker) = (instance.pipeline.ingress(), instance.pipeline.watch_breaker());
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    assert_eq!(*breaker.borrow(), BreakerState::Open);

    let tries = instance.repository.batches.lock().unwrap().len();
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
        assert_eq!(ingress.submit_now(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(instance.repository.batches.lock().unwrap().len(), tries, "storage is left alone");

    tokio::time::sleep(Duration::from_secs(60)).await;
    unavailable.store(false, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    eventually(|| *breaker.borrow() == BreakerState::HalfOpen).await;
    assert_eq!(ingress.submit(arrivals("r", 1)).await.unwrap()[0].name(), "processed");
    assert_eq!(*breaker.borrow(), BreakerState::Closed);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_opens_again_at_the_first_failed_commit() {
    let instance = Instance::start(PipelineSettings::default());
    // Storage answers a question, but can't commit: a full disk, say.
    let full = |batch: &Batch| (!batch.arrivals.is_empty()).then_some(PortErrorKind::Unavailable);
    instance.repository.fail_commits(full);
    let (ingress, breaker) = (instance.pipeline.ingress(), instance.pipeline.watch_breaker());
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    eventually(|| *breaker.borrow() == BreakerState::HalfOpen).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    assert_eq!((begun.elapsed(), *breaker.borrow()), (Duration::ZERO, BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_every_record_opens_the_breaker_until_it_takes_records() {
    let instance = Instance::start(PipelineSettings::default());
    let refuses = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&refuses);
    let fault = move |batch: &Batch| !batch.arrivals.is_empty() && still.load(Ordering::SeqCst);
    instance.repository.fail_commits(move |batch| fault(batch).then_some(PortErrorKind::Refused));
    instance.repository.takes_nothing.store(true, Ordering::SeqCst);
    let (ingress, breaker) = (instance.pipeline.ingress(), instance.pipeline.watch_breaker());
    let begun = tokio::time::Instant::now();
    // The lease is renewed in between: the store answers.
    while *breaker.borrow() == BreakerState::Closed {
        assert_eq!(ingress.submit(arrivals("r", 3)).await, Err(SubmitError::Unavailable(None)));
        assert!(begun.elapsed() < Duration::from_secs(10), "the breaker stays closed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*breaker.borrow(), BreakerState::Open, "it answers pings, and takes no records");

    refuses.store(false, Ordering::SeqCst);
    instance.repository.takes_nothing.store(false, Ordering::SeqCst);
    eventually(|| *breaker.borrow() == BreakerState::HalfOpen).await;
    assert_eq!(ingress.submit(arrivals("r", 3)).await.unwrap().len(), 3);
    assert_eq!(*breaker.borrow(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_that_comes_again_and_again_opens_no_breaker() {
    let instance = Instance::start(PipelineSettings::default());
    let is_bad = |batch: &Batch| batch.arrivals.iter().any(|arrival| arrival.record.record_id.as_str() == "bad-0");
    instance.repository.fail_commits(move |batch| is_bad(batch).then_some(PortErrorKind::Refused));
    let (ingress, breaker) = (instance.pipeline.ingress(), instance.pipeline.watch_breaker());
    for _ in 0..100 {
        assert_eq!(ingress.submit(arrivals("bad", 1)).await, Err(SubmitError::Unavailable(None)));
        assert_eq!(*breaker.borrow(), BreakerState::Closed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(ingress.submit(arrivals("good", 1)).await.unwrap()[0].name(), "processed");
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_noticed_long_before_a_commit_fails_and_a_slow_one_is_awaited() {
    let instance = Instance::start(PipelineSettings::default());
    let (ingress, breaker) = (instance.pipeline.ingress(), instance.pipeline.watch_breaker());
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_secs(30);
    assert_eq!(ingress.submit(arrivals("slow", 1)).await.unwrap()[0].name(), "processed");
    *instance.repository.commit_takes.lock().unwrap() = Duration::ZERO;

    instance.repository.frozen.send_replace(true);
    let begun = tokio::time::Instant::now();
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    assert_eq!(begun.elapsed(), PipelineSettings::default().ping_after + PipelineSettings::default().ping_timeout);
    assert_eq!(*breaker.borrow(), BreakerState::Open);
    assert_eq!(ingress.submit(arrivals("r", 1)).await, Err(SubmitError::Unavailable(None)));
    assert_eq!(
        begun.elapsed(),
        PipelineSettings::default().ping_after + PipelineSettings::default().ping_timeout,
        "at once"
    );

    tokio::time::sleep(Duration::from_secs(60)).await;
    instance.repository.frozen.send_replace(false);
    let begun = tokio::time::Instant::now();
    eventually(|| *breaker.borrow() != BreakerState::Open).await;
    assert_eq!(ingress.submit(arrivals("r", 1)).await.unwrap()[0].name(), "processed");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(*breaker.borrow(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipeline_finishes_what_it_accepted_and_takes_no_more() {
    let instance = slow_commits();
    let ingress = instance.pipeline.ingress();
    let accepted = tokio::spawn({
        let ingress = ingress.clone();
        async move { join_all((0..30).map(|i| ingress.submit(arrivals(&format!("s{i}"), 10)))).await }
    });
    tokio::task::yield_now().await;
    instance.pipeline.close();
    assert_eq!(ingress.submit(arrivals("late", 1)).await, Err(SubmitError::Stopped));
    for outcomes in accepted.await.unwrap() {
        assert_eq!(outcomes.unwrap().len(), 10);
    }
    let (repository, emitter) = (Arc::clone(&instance.repository), Arc::clone(&instance.emitter));
    instance.stop().await;
    assert_eq!(emitter.ids.lock().unwrap().len(), 300);
    let report = audit(&*repository).await.unwrap();
    assert_eq!((report.records, report.backlog_records, report.findings), (300, 0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn several_writers_keep_every_invariant() {
    let instance =
        Instance::start(PipelineSettings { writers: 4, batch_records_max: 7, ..PipelineSettings::default() });
    let ingress = instance.pipeline.ingress();
    let twice = (0..2).flat_map(|_| arrivals("r", 500)).map(|arrival| ingress.submit(vec![arrival]));
    let outcomes: Vec<_> = join_all(twice).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.name() == "processed").count(), 500);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.name() == "duplicate").count(), 500);
    let (repository, emitter) = (Arc::clone(&instance.repository), Arc::clone(&instance.emitter));
    instance.stop().await;
    assert_eq!(emitter.ids.lock().unwrap().len(), 500);
    let report = audit(&*repository).await.unwrap();
    assert_eq!((report.records, report.backlog_records, report.findings), (500, 0, vec![]));
}
