//! The clients of the instances: producers that resend unacknowledged records, readers that resume at their cursors,
//! and an auditor.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::simulation::cluster::{Cluster, Instance};
use crate::simulation::ledger::{Seen, StoredState};
use crate::simulation::workload;
use crate::simulation::world::CLIENTS;
use futures::StreamExt as _;
use tallyhouse_core::ports::{Clock as _, GroupPart, PortError, RecordReader as _};
use tallyhouse_core::{Arrival, Cursor, GroupQuery, Message, MessageFormat, Summary, Topic};
use tallyhouse_pipeline::{Feed, FeedError, audit};
use tokio::sync::mpsc;

/// Sends each submission until it is acknowledged, and some of them again.
pub(super) async fn produce(cluster: Arc<Cluster>, submissions: Vec<Vec<Arrival>>, producing: Arc<AtomicUsize>) {
    let world = Arc::clone(&cluster.world);
    for submission in submissions {
        world.clock().sleep(world.below(Duration::from_millis(800))).await;
        loop {
            if send(&cluster, &submission).await {
                if world.chance(850) {
                    break;
                }
            } else {
                world.clock().sleep(world.below(Duration::from_secs(1))).await;
            }
        }
    }
    producing.fetch_sub(1, Ordering::SeqCst);
}

/// Sends records to some instance; says whether they were acknowledged.
async fn send(cluster: &Arc<Cluster>, submission: &[Arrival]) -> bool {
    let Some(instance) = cluster.any() else { return false };
    send_to(cluster, &instance, submission).await
}

async fn send_to(cluster: &Arc<Cluster>, instance: &Instance, submission: &[Arrival]) -> bool {
    let world = &cluster.world;
    let sent_at = world.now();
    let answer = instance.submit(world, submission.to_vec()).await;
    world.note(|| {
        let ids: Vec<&str> = submission.iter().map(|arrival| arrival.record.record_id.as_str()).collect();
        let answer =
            answer.as_ref().map(|answer| answer.as_ref().map(|all| all.iter().map(|o| o.name()).collect::<Vec<_>>()));
        format!("{} answers {}: {answer:?}", instance.name, ids.join(" "))
    });
    let Some(Ok(outcomes)) = answer else { return false };
    let mut ledger = world.ledger.lock().unwrap();
    if outcomes.len() != submission.len() {
        ledger.wrong.push(format!("{} records were answered with {} outcomes", submission.len(), outcomes.len()));
    }
    for (arrival, outcome) in submission.iter().zip(outcomes) {
        if ledger.acknowledge(&arrival.record, outcome, sent_at, &world.store) == StoredState::Lost {
            world.note(|| format!("the acknowledgement of {} outlives its commit", arrival.record.record_id));
        }
    }
    true
}

/// Sends one more record to every instance: a suspect record is judged only after others are stored.
pub(super) async fn pulse(cluster: &Arc<Cluster>, number: usize) {
    for slot in 0..cluster.slots() {
        let record = cluster.world.draw(|rng| workload::record(rng, &format!("pulse{number}-{slot}")));
        cluster.world.ledger.lock().unwrap().will_send(&record);
        if let Some(instance) = cluster.at(slot) {
            send_to(cluster, &instance, &[record.into()]).await;
        }
    }
}

/// Reads a topic for ever, over any number of connections.
pub(super) async fn read(cluster: Arc<Cluster>, topic: Topic, from_start: bool) {
    let world = Arc::clone(&cluster.world);
    let reader = {
        let mut ledger = world.ledger.lock().unwrap();
        ledger.readers.push(Seen { topic, from_start, messages: Vec::new() });
        ledger.readers.len() - 1
    };
    let mut after: Option<Cursor> = from_start.then_some(Cursor::START);
    loop {
        if let Some(instance) = cluster.any() {
            let (tx, mut rx) = mpsc::channel(3);
            let pages = world.draw(|rng| rng.once_in(2).then(|| 1 + rng.below(10)));
            world.note(|| format!("reader {reader} of {topic:?} goes to {} with {after:?}: {pages:?}", instance.name));
            let serving = match (after, pages) {
                (Some(after), Some(limit)) => {
                    let limit = usize::try_from(limit).unwrap();
                    world
                        .executor
                        .spawn(instance.connections, serve_pages(instance.feed.clone(), topic, after, limit, tx))
                }
                (after, _) => {
                    world.executor.spawn(instance.connections, serve(instance.feed.clone(), topic, after, tx))
                }
            };
            while let Some(next) = rx.recv().await {
                let Ok(message) = next else {
                    after = Some(Cursor::START);
                    world.note(|| format!("reader {reader} hears that the history has changed"));
                    world.ledger.lock().unwrap().start_over(reader);
                    break;
                };
                // A real client gets the cursor as a text, too.
                after = Some(message.cursor().to_string().parse().unwrap());
                world.note(|| format!("reader {reader} sees {} at {}", message.id(), message.position()));
                let json = MessageFormat::default().to_json(&message);
                world.ledger.lock().unwrap().readers[reader].messages.push((message.position(), json));
                if world.chance(20) {
                    break;
                }
            }
            world.executor.abort(serving);
        }
        world.clock().sleep(world.below(Duration::from_secs(1))).await;
    }
}

type Served = mpsc::Sender<Result<Message, HistoryChanged>>;

/// The cursor of a reader is one of a history that the store has lost.
#[derive(Debug)]
struct HistoryChanged;

/// Passes on the end of a stream, if the reader has to know it.
async fn end(tx: &Served, error: FeedError) {
    if let FeedError::HistoryChanged { .. } = error {
        // The reader may be gone.
        drop(tx.send(Err(HistoryChanged)).await);
    }
}

/// Serves a stream until either side ends it.
async fn serve(feed: Feed, topic: Topic, after: Option<Cursor>, tx: Served) {
    let stream = match feed.follow(topic, after).await {
        Ok(stream) => stream,
        Err(error) => return end(&tx, error).await,
    };
    let mut stream = pin!(stream);
    while let Some(next) = stream.next().await {
        let next = match next {
            Ok(next) => next,
            Err(error) => return end(&tx, error).await,
        };
        if tx.send(Ok(next)).await.is_err() {
            return;
        }
    }
}

/// Serves page after page, until one is empty.
async fn serve_pages(feed: Feed, topic: Topic, mut after: Cursor, limit: usize, tx: Served) {
    loop {
        let page = match feed.page(topic, after, limit).await {
            Ok(page) => page,
            Err(error) => return end(&tx, error).await,
        };
        let Some(last) = page.last() else { return };
        after = last.cursor();
        for next in page {
            if tx.send(Ok(next)).await.is_err() {
                return;
            }
        }
    }
}

/// Proves the invariants again and again, on a store in use.
pub(super) async fn keep_auditing(cluster: Arc<Cluster>) {
    let world = Arc::clone(&cluster.world);
    loop {
        world.clock().sleep(world.below(Duration::from_secs(5))).await;
        let Some(instance) = cluster.any() else { continue };
        let (findings, groups) = (audit(&*instance.repository).await, check_groups(&instance).await);
        let mut ledger = world.ledger.lock().unwrap();
        ledger.wrong.extend(findings.map(|report| report.findings).unwrap_or_default());
        ledger.wrong.extend(groups.unwrap_or_default());
    }
}

/// Compares the totals of each group with its records, which belong to the same snapshot.
async fn check_groups(instance: &Instance) -> Result<Option<String>, PortError> {
    let mut groups = instance.repository.groups(GroupQuery { records: true, ..GroupQuery::default() }).await?;
    let (mut all, mut told) = (Summary::default(), 0);
    let mut listed = 0;
    while let Some(part) = groups.parts.next().await {
        match part? {
            GroupPart::Group(_, summary) => told += summary.count(),
            GroupPart::Records(records) => {
                listed += records.len() as u64;
                records.iter().for_each(|processed| all.add(&processed.record));
            }
        }
    }
    Ok((told != listed || all.count() != listed).then(|| format!("groups tell of {told} records and list {listed}")))
}

/// Starts all clients, and returns the number of producers that are at work.
pub(super) fn start(
    cluster: &Arc<Cluster>,
    producers: Vec<Vec<Vec<Arrival>>>,
    queue: Vec<Option<Vec<u8>>>,
) -> Arc<AtomicUsize> {
    let executor = &cluster.world.executor;
    let producing = Arc::new(AtomicUsize::new(producers.len() + 1));
    for submissions in producers {
        executor.spawn(CLIENTS, produce(Arc::clone(cluster), submissions, Arc::clone(&producing)));
    }
    executor.spawn(CLIENTS, fill(Arc::clone(cluster), queue, Arc::clone(&producing)));
    for topic in Topic::ALL {
        for from_start in [true, false] {
            executor.spawn(CLIENTS, read(Arc::clone(cluster), topic, from_start));
        }
    }
    executor.spawn(CLIENTS, keep_auditing(Arc::clone(cluster)));
    producing
}

/// Puts payloads into the queue.
async fn fill(cluster: Arc<Cluster>, queue: Vec<Option<Vec<u8>>>, producing: Arc<AtomicUsize>) {
    for payload in queue {
        cluster.world.clock().sleep(cluster.world.below(Duration::from_millis(600))).await;
        cluster.queue.push_entry(payload.as_deref(), None);
    }
    producing.fetch_sub(1, Ordering::SeqCst);
}
