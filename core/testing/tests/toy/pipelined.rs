//! The optional part upon the repository in memory: a right one, which passes the cases of ordered commits, and one that
//! ignores the order, which must not.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tallyhouse_core::ports::{Batch, CommitOrder, Committed, PortError, RuleRepository, Store};
use tallyhouse_testing::conformance::repository::commit_order;
use tallyhouse_testing::fault_injection::{Call, Gate, Gated};
use tallyhouse_testing::{MemoryRepository, RepositoryFixture, TestClock};

use crate::faults::failure;

/// Says what becomes of an ordered batch.
trait Policy: Send + Sync + 'static {
    fn may_commit(order: &dyn CommitOrder) -> bool;
}

/// As the port demands.
struct Ordered;

impl Policy for Ordered {
    fn may_commit(order: &dyn CommitOrder) -> bool {
        // The store commits at once, under one lock: what has started is committed when the next call looks.
        order.may_start()
    }
}

/// The planted fault.
struct Careless;

impl Policy for Careless {
    fn may_commit(_: &dyn CommitOrder) -> bool {
        true
    }
}

struct Pipelining<P>(PhantomData<P>);

#[async_trait]
impl<P: Policy> Gate for Pipelining<P> {
    async fn pass<T: Send + 'static>(
        &self,
        _: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        work.await
    }

    fn is_pipelined(&self) -> bool {
        true
    }

    async fn pass_in_order(
        &self,
        _: Batch,
        order: Arc<dyn CommitOrder>,
        work: BoxFuture<'static, Result<Committed, PortError>>,
    ) -> Result<Option<Committed>, PortError> {
        // A call takes some time before it reaches the store, and may be cancelled meanwhile.
        tokio::task::yield_now().await;
        if !P::may_commit(&*order) {
            return Ok(None);
        }
        let committed = work.await?;
        order.start();
        Ok(Some(committed))
    }
}

struct Fixture<P> {
    clock: Arc<TestClock>,
    memory: Arc<MemoryRepository>,
    policy: PhantomData<P>,
}

#[async_trait]
impl<P: Policy> RepositoryFixture for Fixture<P> {
    async fn fresh() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { memory: Arc::new(MemoryRepository::new(Arc::clone(&clock) as _)), clock, policy: PhantomData }
    }

    async fn handle(&self) -> Arc<dyn Store> {
        Arc::new(Gated { inner: Arc::clone(&self.memory), gate: Pipelining::<P>(PhantomData) })
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::clone(&self.memory) as _
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }
}

/// Starts each batch before it is committed, and commits the batches in the order of their starts.
struct EarlyGate {
    line: Arc<Mutex<Line>>,
    asks_under_lock: bool,
}

#[derive(Default)]
struct Line {
    /// The batches that have started, first to last.
    started: Vec<u64>,
    starts: u64,
    /// How many of them were not committed. Those that started before such a failure fail with it.
    failures: u64,
}

/// A batch that has started; revoked when it is dropped before its commit.
struct Started {
    line: Arc<Mutex<Line>>,
    number: u64,
    failures: u64,
    order: Arc<dyn CommitOrder>,
    is_committed: bool,
}

impl Drop for Started {
    fn drop(&mut self) {
        let mut line = self.line.lock().unwrap();
        line.started.retain(|number| *number != self.number);
        if !self.is_committed {
            line.failures += 1;
            self.order.revoke();
        }
    }
}

impl EarlyGate {
    fn start(&self, order: Arc<dyn CommitOrder>) -> Option<Started> {
        // The planted fault: what is asked here may have changed when the lock is taken.
        if !self.asks_under_lock && !order.may_start() {
            return None;
        }
        let mut line = self.line.lock().unwrap();
        if self.asks_under_lock && !order.may_start() {
            return None;
        }
        order.start();
        line.starts += 1;
        let (number, failures) = (line.starts, line.failures);
        line.started.push(number);
        Some(Started { line: Arc::clone(&self.line), number, failures, order, is_committed: false })
    }
}

#[async_trait]
impl Gate for EarlyGate {
    async fn pass<T: Send + 'static>(
        &self,
        _: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        work.await
    }

    fn is_pipelined(&self) -> bool {
        true
    }

    async fn pass_in_order(
        &self,
        _: Batch,
        order: Arc<dyn CommitOrder>,
        work: BoxFuture<'static, Result<Committed, PortError>>,
    ) -> Result<Option<Committed>, PortError> {
        let Some(mut started) = self.start(order) else { return Ok(None) };
        loop {
            tokio::task::yield_now().await;
            let line = self.line.lock().unwrap();
            if line.failures != started.failures {
                break;
            }
            if line.started.first() == Some(&started.number) {
                started.is_committed = true;
                break;
            }
        }
        if !started.is_committed {
            return Ok(None);
        }
        work.await.map(Some)
    }
}

struct EarlyFixture<const ASKS_UNDER_LOCK: bool> {
    clock: Arc<TestClock>,
    memory: Arc<MemoryRepository>,
    line: Arc<Mutex<Line>>,
}

#[async_trait]
impl<const ASKS_UNDER_LOCK: bool> RepositoryFixture for EarlyFixture<ASKS_UNDER_LOCK> {
    async fn fresh() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { memory: Arc::new(MemoryRepository::new(Arc::clone(&clock) as _)), clock, line: Arc::default() }
    }

    async fn handle(&self) -> Arc<dyn Store> {
        let gate = EarlyGate { line: Arc::clone(&self.line), asks_under_lock: ASKS_UNDER_LOCK };
        Arc::new(Gated { inner: Arc::clone(&self.memory), gate })
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::clone(&self.memory) as _
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }
}

#[tokio::test]
async fn commits_that_start_early_pass_the_suite() {
    commit_order::senders_keep_their_order_with_two_chunks_in_flight::<EarlyFixture<true>>().await;
    commit_order::a_batch_whose_predecessor_has_not_started_is_not_committed::<EarlyFixture<true>>().await;
    commit_order::a_successor_is_committed_after_its_predecessor::<EarlyFixture<true>>().await;
    commit_order::a_successor_of_a_cancelled_commit_is_not_committed_without_it::<EarlyFixture<true>>().await;
    commit_order::a_start_revoked_while_its_successor_asks_is_noticed::<EarlyFixture<true>>().await;
}

#[tokio::test]
async fn a_store_that_asks_for_the_order_outside_its_lock_fails_the_suite() {
    failure(commit_order::a_start_revoked_while_its_successor_asks_is_noticed::<EarlyFixture<false>>()).await;
}

#[tokio::test]
async fn ordered_commits_pass_the_suite() {
    commit_order::senders_keep_their_order_with_two_chunks_in_flight::<Fixture<Ordered>>().await;
    commit_order::a_batch_whose_predecessor_has_not_started_is_not_committed::<Fixture<Ordered>>().await;
    commit_order::a_successor_is_committed_after_its_predecessor::<Fixture<Ordered>>().await;
    commit_order::a_successor_of_a_cancelled_commit_is_not_committed_without_it::<Fixture<Ordered>>().await;
}

#[tokio::test]
async fn a_store_that_ignores_the_commit_order_fails_the_suite() {
    failure(commit_order::a_batch_whose_predecessor_has_not_started_is_not_committed::<Fixture<Careless>>()).await;
    failure(commit_order::a_successor_is_committed_after_its_predecessor::<Fixture<Careless>>()).await;
    failure(commit_order::a_successor_of_a_cancelled_commit_is_not_committed_without_it::<Fixture<Careless>>()).await;
}
