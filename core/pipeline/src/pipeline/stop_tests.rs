//! No submission waits for a pipeline that has ended, by a close, a drop or a panic.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::Message;
use tallyhouse_core::ports::{MessageEmitter, Owner, PortError, RecordReader as _};
use tokio::task::{JoinHandle, JoinSet};

use super::*;
use crate::submit_error::Answer;
use crate::test_harness::{FaultyEmitter, FaultyRepository, PausedClock, arrivals, faulty_repository};

/// An emitter that panics.
#[derive(Debug)]
struct PanickingEmitter;

#[async_trait]
impl MessageEmitter for PanickingEmitter {
    async fn emit(&self, _messages: &[Message]) -> Result<(), PortError> {
        panic!("scripted");
    }
}

/// A pipeline whose driver does not run yet. Its commits take a second.
fn build(emitter: Arc<dyn MessageEmitter>, settings: PipelineSettings) -> (Pipeline, Driver, Arc<FaultyRepository>) {
    let repository = faulty_repository(PausedClock::start());
    *repository.commit_takes.lock().unwrap() = Duration::from_secs(1);
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: repository.clone(),
        clock: PausedClock::start(),
        rules: RuleSet::default(),
        publisher: Some(Publisher::new(Owner::new("instance"), emitter, repository.clone())),
        settings,
    });
    (pipeline, driver, repository)
}

fn build_default() -> (Pipeline, Driver, Arc<FaultyRepository>) {
    build(Arc::new(FaultyEmitter::default()), PipelineSettings::default())
}

fn spawn_submit(ingress: &Ingress, prefix: &'static str, records: usize) -> JoinHandle<Answer> {
    let ingress = ingress.clone();
    tokio::spawn(async move { ingress.submit(arrivals(prefix, records)).await })
}

/// Awaits an answer that must come within a minute.
async fn answer(submission: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(Duration::from_secs(60), submission).await.expect("a submission hangs").unwrap()
}

/// Checks that every way to submit ends with `Stopped`.
async fn check_stopped(pipeline: &Pipeline) {
    let ingress = pipeline.ingress();
    assert_eq!(answer(spawn_submit(&ingress, "late", 1)).await, Err(SubmitError::Stopped));
    assert_eq!(ingress.submit_now(arrivals("late", 1)).await, Err(SubmitError::Stopped));
    assert_eq!(ingress.ordered().submit(arrivals("late", 1)).await, Err(SubmitError::Stopped));
    assert_eq!(pipeline.process(arrivals("late", 1).remove(0)).await, Err(SubmitError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_driver_stops_what_waits_and_every_later_submission() {
    let (pipeline, driver, _) = build_default();
    let waiting = spawn_submit(&pipeline.ingress(), "r", 1);
    tokio::task::yield_now().await;
    drop(driver);
    assert_eq!(answer(waiting).await, Err(SubmitError::Stopped));
    check_stopped(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_task_stops_what_waits_and_every_later_submission() {
    let (pipeline, driver, _) = build_default();
    let mut tasks = driver.into_tasks().into_iter().map(tokio::spawn).collect::<Vec<_>>();
    let committing = spawn_submit(&pipeline.ingress(), "r", 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = spawn_submit(&pipeline.ingress(), "s", 1);
    tokio::task::yield_now().await;
    // The writer is the second task; the relay, which is the last, ends after it.
    tasks.remove(1).abort();
    assert_eq!(answer(committing).await, Err(SubmitError::Stopped));
    assert_eq!(answer(waiting).await, Err(SubmitError::Stopped));
    check_stopped(&pipeline).await;
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_emitter_that_panics_under_run_stops_every_later_submission() {
    let (pipeline, driver, repository) = build(Arc::new(PanickingEmitter), PipelineSettings::default());
    let work = tokio::spawn(driver.run());
    assert_eq!(answer(spawn_submit(&pipeline.ingress(), "r", 1)).await.unwrap().len(), 1);
    let waiting = spawn_submit(&pipeline.ingress(), "s", 1);
    assert!(work.await.unwrap_err().is_panic());
    assert_eq!(answer(waiting).await, Err(SubmitError::Stopped));
    check_stopped(&pipeline).await;
    assert_eq!(repository.head().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_panics_under_into_tasks_stops_what_waits_and_every_later_submission() {
    let settings = PipelineSettings { batch_records_max: 1, intake_records_max: 2, ..PipelineSettings::default() };
    let (pipeline, driver, repository) = build(Arc::new(FaultyEmitter::default()), settings);
    repository.fail_commits(|_| panic!("scripted"));
    let mut tasks: JoinSet<()> = driver.into_tasks().into_iter().collect();
    let ingress = pipeline.ingress();
    let mut ordered = ingress.ordered();
    let committing = spawn_submit(&ingress, "committing", 1);
    let in_the_intake = spawn_submit(&ingress, "waiting", 1);
    let without_room = spawn_submit(&ingress, "outside", 1);
    let in_order = [tokio::spawn(ordered.submit(arrivals("a", 1))), tokio::spawn(ordered.submit(arrivals("b", 1)))];
    for submission in [committing, in_the_intake, without_room].into_iter().chain(in_order) {
        assert_eq!(answer(submission).await, Err(SubmitError::Stopped));
    }
    check_stopped(&pipeline).await;
    let mut panics = 0;
    while let Some(ended) = tasks.join_next().await {
        panics += usize::from(ended.is_err_and(|error| error.is_panic()));
    }
    assert_eq!(panics, 1, "the other tasks end by themselves");
}

#[tokio::test(start_paused = true)]
async fn dropping_every_pipeline_and_ingress_closes_the_pipeline_after_what_it_accepted() {
    let emitter = Arc::new(FaultyEmitter::default());
    let (pipeline, driver, repository) = build(emitter.clone(), PipelineSettings::default());
    let work = tokio::spawn(driver.run());
    let (clone, ingress) = (pipeline.clone(), pipeline.ingress());
    drop(pipeline);
    drop(clone);
    assert_eq!(answer(spawn_submit(&ingress, "r", 2)).await.unwrap().len(), 2);
    // The submission is dropped, not its records.
    let abandoned = tokio::spawn({
        let ingress = ingress.ordered();
        async move { { ingress }.submit(arrivals("s", 3)).await }
    });
    tokio::task::yield_now().await;
    assert!(!work.is_finished());
    drop(ingress);
    abandoned.abort();
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("the driver hangs").unwrap();
    assert_eq!(repository.head().await.unwrap(), 5);
    assert_eq!(emitter.ids.lock().unwrap().len(), 5);
}
