//! Submissions that are to keep their order are committed side by side, and keep it when one of them fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{FuturesOrdered, StreamExt as _};
use tallyhouse_core::ports::Clock;
use tallyhouse_core::{Arrival, Outcome, RuleSet, Timestamp};
use tallyhouse_pipeline::{Ingress, OrderedIngress, Pipeline, PipelineParts, PipelineSettings, SubmitError};
use tallyhouse_postgres::PostgresRepository;
use tallyhouse_tests::servers::postgres::PostgresServer;
use tokio::task::JoinHandle;

use crate::support::{database, now, record, repository};

const CHUNKS: usize = 60;
const RECORDS: usize = 300;
const KEYS: usize = 3;

struct RunningClock(Instant);

#[async_trait]
impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn start(repository: &PostgresRepository) -> (Pipeline, JoinHandle<()>) {
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: Arc::new(repository.clone()),
        clock: Arc::new(RunningClock(Instant::now())),
        rules: RuleSet::default(),
        publisher: None,
        settings: PipelineSettings { writers: 4, ..PipelineSettings::default() },
    });
    (pipeline, tokio::spawn(driver.run()))
}

fn chunk(sender: &str, number: usize) -> Vec<Arrival> {
    let nth = |n: usize| record(&format!("{sender}-{n:06}"), &format!("d-{}", n % KEYS), "");
    (number * RECORDS..(number + 1) * RECORDS).map(|n| nth(n).into()).collect()
}

/// Sends all chunks in order, again from the first one without an answer; returns the sequences of the records in the
/// order in which they were sent.
async fn send_all(ingress: Ingress, sender: &'static str) -> Vec<u64> {
    let mut sequences = Vec::new();
    while sequences.len() < CHUNKS * RECORDS {
        let (mut ordered, mut in_flight) = (ingress.ordered(), FuturesOrdered::new());
        let mut next = sequences.len() / RECORDS;
        loop {
            while in_flight.len() < OrderedIngress::IN_FLIGHT_MAX && next < CHUNKS {
                in_flight.push_back(ordered.submit(chunk(sender, next)));
                next += 1;
            }
            match in_flight.next().await {
                Some(Ok(outcomes)) => sequences.extend(outcomes.iter().map(sequence)),
                Some(Err(error)) => {
                    assert_eq!(error, SubmitError::Unavailable(None));
                    while let Some(answer) = in_flight.next().await {
                        assert!(answer.is_err(), "what was behind is not done either");
                    }
                    break;
                }
                None => break,
            }
        }
    }
    sequences
}

#[expect(clippy::panic, reason = "no other outcome has a sequence")]
fn sequence(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Processed(stored) => stored.processed.sequence,
        // Of a commit whose answer was lost.
        Outcome::Duplicate { sequence, .. } => *sequence,
        Outcome::Conflict { .. } | Outcome::Rejected(_) => panic!("{outcome:?}"),
    }
}

/// Checks that the records of each key were processed in the order in which they were sent.
fn check_order(sender: &str, sequences: &[u64]) {
    assert_eq!(sequences.len(), CHUNKS * RECORDS);
    let mut last = HashMap::new();
    for (n, sequence) in sequences.iter().enumerate() {
        let before = last.insert(n % KEYS, *sequence).unwrap_or(0);
        assert!(before < *sequence, "record {n} of {sender} has the sequence {sequence}, and the one before {before}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sender_is_committed_side_by_side_and_in_order() {
    let repository = repository(&database().await);
    let (pipeline, work) = start(&repository);
    let sequences = send_all(pipeline.ingress(), "one").await;
    let in_order = (0..CHUNKS * RECORDS).map(|n| u64::try_from(n / KEYS + 1).unwrap());
    assert_eq!(sequences, in_order.collect::<Vec<_>>());
    pipeline.close();
    work.await.unwrap();
    let ways = HashMap::from(repository.commits());
    assert!(ways["pipelined"] > 5, "{ways:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_to_several_instances_keep_their_orders_while_connections_are_cut() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    let instances = [start(&repository(&url)), start(&repository(&url))];
    let cutting = tokio::spawn(async move {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let mut cut: u64 = 0;
        for _ in 0..40 {
            let (server, name) = (PostgresServer::shared(), name.clone());
            let connections = tokio::task::spawn_blocking(move || server.psql(&name, sql).unwrap()).await.unwrap();
            cut += connections.parse::<u64>().unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        cut
    });
    let (one, other) =
        tokio::join!(send_all(instances[0].0.ingress(), "one"), send_all(instances[1].0.ingress(), "other"));
    check_order("one", &one);
    check_order("other", &other);
    let mut all = [one, other].concat();
    all.sort_unstable();
    let expected = (0..2 * CHUNKS * RECORDS).map(|n| u64::try_from(n / KEYS + 1).unwrap());
    assert_eq!(all, expected.collect::<Vec<_>>(), "each exactly once");
    assert!(cutting.await.unwrap() > 10, "connections were cut");
    for (pipeline, work) in instances {
        pipeline.close();
        work.await.unwrap();
    }
}
