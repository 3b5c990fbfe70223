//! A store in memory with a gate before it, which decides what becomes of each call.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::memory::MemoryRepository;
use crate::outcome::StoredRecord;
use crate::ports::{
    Batch, Committed, HistoryQuery, OwedBatch, OwedId, OwedStats, Owner, PortError, RecordRepository, Whose,
};
use crate::query::{AuditPart, GroupQuery, Groups, PartStream, RecordQuery, SummaryQuery};
use crate::summary::Summary;
use crate::text::{RecordId, Reference};

/// What is asked of the store.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Commit(Batch),
    /// Which changes who owes what: a renewal, a claim, a settlement.
    Write(&'static str),
    Read(&'static str),
    Ping,
}

/// Decides what becomes of a call: it may be made late, more than once, or not at all, and its answer be lost.
#[async_trait]
pub(crate) trait Gate: Send + Sync {
    async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError>;

    /// May shorten a page that was read.
    fn shorten<T: Send>(&self, page: Vec<T>) -> Vec<T> {
        page
    }

    /// May end a stream half-way with an error.
    fn cut<T: Send + 'static>(&self, parts: PartStream<T>) -> PartStream<T> {
        parts
    }
}

/// A store in memory behind a gate.
pub(crate) struct Gated<G> {
    pub(crate) inner: Arc<MemoryRepository>,
    pub(crate) gate: G,
}

/// A test has the gate at hand where it has the store.
impl<G> Deref for Gated<G> {
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
impl<G: Gate> RecordRepository for Gated<G> {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        pass!(self, Call::Commit(batch.clone()), |inner| inner.commit(batch))
    }

    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        let id = id.clone();
        pass!(self, Call::Read("find"), |inner| inner.find(&id))
    }

    async fn records(&self, query: RecordQuery) -> Result<Vec<StoredRecord>, PortError> {
        pass!(self, Call::Read("records"), |inner| inner.records(query))
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Vec<(Reference, Summary)>, PortError> {
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

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let owner = owner.clone();
        pass!(self, Call::Write("renew"), |inner| inner.renew(&owner, lease))
    }

    async fn claim(&self, owner: &Owner, whose: Whose, batches_max: usize) -> Result<Vec<OwedBatch>, PortError> {
        let owner = owner.clone();
        let name = match whose {
            Whose::Own => "claim own",
            Whose::Abandoned => "claim abandoned",
        };
        pass!(self, Call::Write(name), |inner| inner.claim(&owner, whose, batches_max))
    }

    async fn settle(&self, owner: &Owner, published: &[OwedId]) -> Result<(), PortError> {
        let (owner, published) = (owner.clone(), published.to_vec());
        pass!(self, Call::Write("settle"), |inner| inner.settle(&owner, &published))
    }

    async fn owed(&self) -> Result<OwedStats, PortError> {
        pass!(self, Call::Read("owed"), |inner| inner.owed())
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        let parts = pass!(self, Call::Read("audit"), |inner| inner.audit())?;
        Ok(self.gate.cut(parts))
    }

    async fn ping(&self) -> Result<(), PortError> {
        pass!(self, Call::Ping, |inner| inner.ping())
    }
}
