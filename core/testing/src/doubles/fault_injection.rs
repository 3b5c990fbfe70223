//! A repository with faults: a test delays, repeats, fails or loses each call.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, CommitOrder, Committed, Groups, HistoryQuery, Outbox, OutboxEntry, OutboxId,
    Owner, Page, PartStream, PipelinedRepository, PortError, RecordReader, RecordRepository, Store,
};
use tallyhouse_core::{GroupQuery, RecordId, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery};

use crate::memory::repository::MemoryRepository;

/// A call of the store.
#[derive(Debug, Clone)]
pub enum Call {
    /// A commit of this batch.
    Commit(Batch),
    /// A change of the outbox: a renewal, a claim, a mark.
    Write(&'static str),
    /// A query.
    Read(&'static str),
    /// A ping.
    Ping,
    /// A check whether the store takes records.
    PingWrite,
}

/// Decides for each call whether it is made, when, how often, and whether its answer is lost.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Makes the call, or fails it.
    async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError>;

    /// Says whether the store offers the optional part of the repository port.
    fn is_pipelined(&self) -> bool {
        false
    }

    /// Makes an ordered commit; asked only where the gate [is pipelined](Gate::is_pipelined).
    async fn pass_in_order(
        &self,
        batch: Batch,
        order: Arc<dyn CommitOrder>,
        work: BoxFuture<'static, Result<Committed, PortError>>,
    ) -> Result<Option<Committed>, PortError> {
        drop((batch, order));
        work.await.map(Some)
    }

    /// May shorten a page that was read.
    fn shorten<T: Send>(&self, page: Vec<T>) -> Vec<T> {
        page
    }

    /// May end a stream half-way with an error.
    fn cut<T: Send + 'static>(&self, parts: PartStream<T>) -> PartStream<T> {
        parts
    }
}

/// A store behind a gate: by default one in memory.
#[derive(Debug)]
pub struct Gated<G, S: ?Sized = MemoryRepository> {
    /// The store behind the gate.
    pub inner: Arc<S>,
    /// The gate.
    pub gate: G,
}

/// Lets a test reach the gate through the store.
impl<G, S: ?Sized> Deref for Gated<G, S> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.gate
    }
}

/// Passes a call of the store through the gate.
macro_rules! pass {
    ($self:ident, $call:expr, |$inner:ident| $work:expr) => {{
        let $inner = Arc::clone(&$self.inner);
        $self.gate.pass($call, Box::pin(async move { $work.await })).await
    }};
}

#[async_trait]
impl<G: Gate, S: Store + ?Sized + 'static> RecordRepository for Gated<G, S> {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        pass!(self, Call::Commit(batch.clone()), |inner| inner.commit(batch))
    }

    async fn ping(&self) -> Result<(), PortError> {
        pass!(self, Call::Ping, |inner| inner.ping())
    }

    async fn ping_write(&self) -> Result<(), PortError> {
        pass!(self, Call::PingWrite, |inner| inner.ping_write())
    }

    fn pipelined(&self) -> Option<&dyn PipelinedRepository> {
        self.gate.is_pipelined().then_some(self)
    }
}

#[async_trait]
impl<G: Gate, S: Store + ?Sized + 'static> PipelinedRepository for Gated<G, S> {
    async fn commit_in_order(&self, batch: Batch, order: Arc<dyn CommitOrder>) -> Result<Option<Committed>, PortError> {
        let inner = Arc::clone(&self.inner);
        let passed = batch.clone();
        self.gate.pass_in_order(batch, order, Box::pin(async move { inner.commit(passed).await })).await
    }
}

#[async_trait]
impl<G: Gate, S: Store + ?Sized + 'static> RecordReader for Gated<G, S> {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        let id = id.clone();
        pass!(self, Call::Read("find"), |inner| inner.find(&id))
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let ids = ids.to_vec();
        pass!(self, Call::Read("find_all"), |inner| inner.find_all(&ids))
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        pass!(self, Call::Read("records"), |inner| inner.records(query))
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        pass!(self, Call::Read("summaries"), |inner| inner.summaries(query))
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        let Groups { parts, next } = pass!(self, Call::Read("groups"), |inner| inner.groups(query))?;
        Ok(Groups { parts: self.gate.cut(parts), next })
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        let page = pass!(self, Call::Read("history"), |inner| inner.history(query))?;
        Ok(self.gate.shorten(page))
    }

    async fn head(&self) -> Result<u64, PortError> {
        pass!(self, Call::Read("head"), |inner| inner.head())
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        let parts = pass!(self, Call::Read("audit"), |inner| inner.audit())?;
        Ok(self.gate.cut(parts))
    }
}

#[async_trait]
impl<G: Gate, S: Store + ?Sized + 'static> Outbox for Gated<G, S> {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let owner = owner.clone();
        pass!(self, Call::Write("renew"), |inner| inner.renew(&owner, lease))
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let owner = owner.clone();
        let name = match scope {
            ClaimScope::Own => "claim own",
            ClaimScope::Abandoned => "claim abandoned",
            ClaimScope::Foreign => "look at foreign",
        };
        pass!(self, Call::Write(name), |inner| inner.claim(&owner, scope, entries_max))
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        let (owner, published) = (owner.clone(), published.to_vec());
        pass!(self, Call::Write("mark published"), |inner| inner.mark_published(&owner, &published))
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        pass!(self, Call::Read("backlog"), |inner| inner.backlog())
    }
}
