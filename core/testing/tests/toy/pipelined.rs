//! The optional part upon the repository in memory: a right one, which passes the cases of ordered commits, and one that
//! ignores the order, which must not.

use std::marker::PhantomData;
use std::sync::Arc;
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

#[tokio::test]
async fn ordered_commits_pass_the_suite() {
    commit_order::senders_keep_their_order_with_two_chunks_under_way::<Fixture<Ordered>>().await;
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
