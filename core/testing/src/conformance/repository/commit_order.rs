//! Ordered commits: cases for the optional part of the repository port, and for a store without it.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::future::{Either, join, join_all, select};
use futures::stream::{FuturesOrdered, StreamExt as _};
use tallyhouse_core::ports::{Backlog, CommitOrder, Committed, Store};
use tallyhouse_core::{Record, RuleSet};
use tallyhouse_pipeline::{Ingress, Pipeline, PipelineParts, PipelineSettings};
use tokio::sync::watch;

use super::consistency::assert_consistent;
use super::{RepositoryFixture, batch, id, processed};
use crate::conformance::{not_checked, yield_now};
use crate::doubles::clock::TestClock;
use crate::doubles::generate::record;

/// Four senders on two handles share all keys. Each sees its own records processed in the order in which it sent them,
/// although it sends the next chunk before it knows the outcomes of the last one.
///
/// This holds for every store: the pipeline uses the optional part where there is one.
pub async fn senders_keep_their_order_with_two_chunks_in_flight<F: RepositoryFixture>() {
    const CHUNKS: usize = 12;
    let fixture = F::fresh().await;
    let (mut senders, mut drivers) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: fixture.handle().await,
            clock: Arc::new(TestClock::default()),
            rules: RuleSet::default(),
            publisher: None,
            settings: PipelineSettings { writers: 3, batch_records_max: 300, ..PipelineSettings::default() },
        });
        drivers.push(driver.run());
        senders.extend([(format!("{name}1"), pipeline.ingress()), (format!("{name}2"), pipeline.ingress())]);
    }
    let send = async |(name, ingress): (String, Ingress)| {
        let (mut ordered, mut in_flight) = (ingress.ordered(), FuturesOrdered::new());
        for n in 0..CHUNKS {
            let nth = |i: usize| record(&format!("{name}-{n}-{i}"), &format!("d{}", i % 3), "", "1", "EUR").into();
            in_flight.push_back(ordered.submit((0..300).map(nth).collect()));
        }
        let mut last = [0; 3];
        while let Some(outcomes) = in_flight.next().await {
            for (i, outcome) in outcomes.expect("the store does it").iter().enumerate() {
                let sequence = processed(outcome).processed.sequence;
                assert!(sequence > last[i % 3], "{sequence} after {} by {name}", last[i % 3]);
                last[i % 3] = sequence;
            }
        }
    };
    let (sending, working) = (pin!(join_all(senders.into_iter().map(send))), pin!(join_all(drivers)));
    assert!(matches!(select(sending, working).await, Either::Left(_)), "the pipelines work on");
    assert_eq!(assert_consistent(&*fixture.handle().await).await.len(), 4 * CHUNKS * 300);
}

/// While a predecessor has not started, the call returns `None` and commits nothing. Once the predecessor is done, the
/// same batch is committed.
pub async fn a_batch_whose_predecessor_has_not_started_is_not_committed<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    if !is_pipelined::<F>(&*repository) {
        return;
    }
    let records = || (0..20).map(|i| record(&format!("r-{i}"), &format!("d{}", i % 3), "", "1", "EUR"));
    let predecessor = Order::first();
    let successor = predecessor.next();
    // Twice: the first commit of a process may take another path than later ones.
    for _ in 0..2 {
        assert!(
            commit_in_order(&*repository, records(), &successor).await.is_none(),
            "the predecessor has not started"
        );
        assert_eq!(successor.stage(), Stage::Waiting, "the batch that was not committed has not started");
        assert_eq!(repository.head().await.expect("the head is read"), 0);
        assert_eq!(repository.find(&id("r-0")).await.expect("a record is looked up"), None);
        assert_eq!(repository.backlog().await.expect("the backlog is read"), Backlog::default());
    }
    predecessor.end();
    let committed = commit_in_order(&*repository, records(), &successor).await.expect("the predecessor is done");
    assert!(committed.outcomes.iter().all(|outcome| outcome.name() == "processed"));
    assert_eq!(assert_consistent(&*repository).await.len(), 20);
}

/// Two ordered batches are in flight at once, the successor first, with keys that they share and keys that they do not:
/// the successor is never committed before its predecessor.
pub async fn a_successor_is_committed_after_its_predecessor<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    if !is_pipelined::<F>(&*repository) {
        return;
    }
    let mut last = Order::first();
    last.end();
    for round in 0..20 {
        let (predecessor, key) = (last.next(), round % 4);
        let successor = predecessor.next();
        // A large batch before a small one, and the other way round.
        let (many, few) = if round % 2 == 0 { (300, 1) } else { (1, 300) };
        let before = (0..many).map(|i| record(&format!("{round}-a-{i}"), &format!("d{key}"), "", "1", "EUR"));
        let other_key = key + round % 3;
        let after = (0..few).map(|i| record(&format!("{round}-b-{i}"), &format!("d{other_key}"), "", "1", "EUR"));
        let second = async {
            let second = commit_retrying(&*repository, after, &successor).await;
            let found = repository.find(&id(&format!("{round}-a-0"))).await.expect("a record is looked up");
            assert!(found.is_some(), "the predecessor is committed when its successor is");
            second
        };
        let (second, first) = join(second, commit_retrying(&*repository, before, &predecessor)).await;
        let (first, second) = (first.entry.expect("records are stored"), second.entry.expect("records are stored"));
        assert!(first.last < second.first, "{first:?} comes before {second:?}");
        last = successor;
    }
    assert_eq!(assert_consistent(&*repository).await.len(), 20 * 301);
}

/// The commit of a predecessor is cancelled at some moment, so that it may have started and never be committed: its
/// successor is then committed after it, or not at all.
pub async fn a_successor_of_a_cancelled_commit_is_not_committed_without_it<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    if !is_pipelined::<F>(&*repository) {
        return;
    }
    // So that the store knows the keys.
    commit_retrying(
        &*repository,
        (0..4).map(|i| record(&format!("d{i}"), &format!("d{i}"), "", "1", "EUR")),
        &Order::first(),
    )
    .await;
    for round in 0..40_usize {
        let predecessor = Order::first();
        let successor = predecessor.next();
        let before = (0..30).map(|i| record(&format!("{round}-a-{i}"), &format!("d{}", i % 4), "", "1", "EUR"));
        let after = (0..3).map(|i| record(&format!("{round}-b-{i}"), &format!("d{i}"), "", "1", "EUR"));
        let first = async {
            let mut commit = Box::pin(commit_in_order(&*repository, before, &predecessor));
            for _ in 0..=round {
                if futures::poll!(&mut commit).is_ready() {
                    break;
                }
                yield_now().await;
            }
        };
        let ((), second) = join(first, commit_in_order(&*repository, after, &successor)).await;
        if let Some(second) = second {
            let found = repository.find(&id(&format!("{round}-a-0"))).await.expect("a record is looked up");
            let found = found.expect("the predecessor is committed when its successor is");
            let same_key = processed(&second.outcomes[0]);
            assert!(found.processed.sequence < same_key.processed.sequence, "the predecessor comes first");
        }
    }
    assert_consistent(&*repository).await;
}

/// A predecessor has started, and is cancelled at the moment at which the store asks whether its successor may start: the
/// successor is then committed after it, or not at all. A store that asks before it takes its lock lets the predecessor revoke
/// its start between the answer and the lock.
pub async fn a_start_revoked_while_its_successor_asks_is_noticed<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    if !is_pipelined::<F>(&*repository) {
        return;
    }
    let one = |id: &str| [record(id, "D", "", "1", "EUR")];
    // So that the store knows the key.
    commit_retrying(&*repository, one("first"), &Order::first()).await;
    for round in 0..10 {
        let (predecessor, store) = (Order::first(), Arc::clone(&repository));
        let (successor, before, order) = (predecessor.next(), one(&format!("{round}-a")), predecessor.clone());
        let mut commit = Box::pin(async move { commit_in_order(&*store, before, &order).await });
        let mut stage = predecessor.stage.subscribe();
        if let Either::Left(_) = select(&mut commit, pin!(stage.wait_for(|stage| *stage != Stage::Waiting))).await {
            // It was done as soon as it had started.
            continue;
        }
        let (asks, asked) = mpsc::channel();
        let cancelling = thread::spawn(move || {
            // Without a question, the other end was dropped: the commit is cancelled all the same.
            _ = asked.recv();
            drop(commit);
        });
        let order = Arc::new(Hesitant { order: successor, asks });
        let pipelined = repository.pipelined().expect("the case has checked it");
        let second = pipelined.commit_in_order(batch(one(&format!("{round}-b"))), order).await;
        cancelling.join().expect("a commit can be cancelled on any thread");
        if let Some(second) = second.expect("a good batch is no error") {
            let found = repository.find(&id(&format!("{round}-a"))).await.expect("a record is looked up");
            let found = found.expect("the predecessor is committed when its successor is");
            let second = processed(&second.outcomes[0]);
            assert!(found.processed.sequence < second.processed.sequence, "the predecessor comes first");
        }
    }
    assert_consistent(&*repository).await;
}

/// Says that it was asked whether it may start, and takes its time to answer.
#[derive(Debug)]
struct Hesitant {
    order: Order,
    asks: mpsc::Sender<()>,
}

impl CommitOrder for Hesitant {
    fn may_start(&self) -> bool {
        let may_start = self.order.may_start();
        // Nobody listens after the first time.
        if self.order.predecessor() == Stage::Started && self.asks.send(()).is_ok() {
            // A store that asks under its lock has the predecessor wait for it, so the time must be bounded.
            for _ in 0..20 {
                if self.order.predecessor() != Stage::Started {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        may_start
    }

    fn predecessors_done(&self) -> bool {
        self.order.predecessors_done()
    }

    fn start(&self) {
        self.order.start();
    }

    fn revoke(&self) {
        self.order.revoke();
    }
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Started,
    Done,
}

/// The place of a batch in a chain of ordered batches.
#[derive(Debug, Clone)]
struct Order {
    stage: watch::Sender<Stage>,
    predecessor: Option<watch::Receiver<Stage>>,
}

impl Order {
    fn first() -> Self {
        Self { stage: watch::Sender::new(Stage::Waiting), predecessor: None }
    }

    fn next(&self) -> Self {
        Self { stage: watch::Sender::new(Stage::Waiting), predecessor: Some(self.stage.subscribe()) }
    }

    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    fn end(&self) {
        self.stage.send_replace(Stage::Done);
    }

    fn predecessor(&self) -> Stage {
        self.predecessor.as_ref().map_or(Stage::Done, |stage| *stage.borrow())
    }

    async fn predecessor_done(&self) {
        if let Some(mut stage) = self.predecessor.clone() {
            stage.wait_for(|stage| *stage == Stage::Done).await.expect("the case keeps the predecessor");
        }
    }
}

impl CommitOrder for Order {
    fn may_start(&self) -> bool {
        self.predecessor() != Stage::Waiting
    }

    fn predecessors_done(&self) -> bool {
        self.predecessor() == Stage::Done
    }

    fn start(&self) {
        self.stage.send_replace(Stage::Started);
    }

    fn revoke(&self) {
        self.stage.send_replace(Stage::Waiting);
    }
}

/// Says whether the store has the optional part, and prints that nothing is checked where it has not.
fn is_pipelined<F>(repository: &dyn Store) -> bool {
    let is_pipelined = repository.pipelined().is_some();
    if !is_pipelined {
        not_checked::<F>("ordered commits; the repository has no `pipelined` part");
    }
    is_pipelined
}

async fn commit_in_order(
    repository: &dyn Store,
    records: impl IntoIterator<Item = Record>,
    order: &Order,
) -> Option<Committed> {
    let pipelined = repository.pipelined().expect("the case has checked it");
    pipelined.commit_in_order(batch(records), Arc::new(order.clone())).await.expect("a good batch is no error")
}

/// Commits as the pipeline does: where the store returns `None`, once more when the predecessor is done.
async fn commit_retrying(
    repository: &dyn Store,
    records: impl IntoIterator<Item = Record>,
    order: &Order,
) -> Committed {
    let records: Vec<Record> = records.into_iter().collect();
    let committed = match commit_in_order(repository, records.clone(), order).await {
        Some(committed) => committed,
        None => {
            order.predecessor_done().await;
            commit_in_order(repository, records, order).await.expect("the predecessor is done")
        }
    };
    order.end();
    committed
}
