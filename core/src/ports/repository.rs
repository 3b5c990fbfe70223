//! The repository port: commits batches, and is the only judge of whether a record was seen before.

use std::sync::Arc;

use async_trait::async_trait;

use crate::outcome::Outcome;
use crate::plan::Arrival;
use crate::ports::error::PortError;
use crate::ports::outbox::{OutboxEntry, OutboxId, Owner};
use crate::ports::pipelined::PipelinedRepository;
use crate::record::time::Timestamp;
use crate::rule::book::RuleBook;

/// Commits batches of records.
///
/// ```
/// use std::sync::Arc;
/// use tallyhouse_core::ports::{Batch, Clock, PortError, RecordRepository};
/// use tallyhouse_core::{Outcome, Record, RuleBook};
///
/// /// Commits one record by itself, without rules.
/// async fn process(
///     repository: &dyn RecordRepository, clock: &dyn Clock, record: Record,
/// ) -> Result<Option<Outcome>, PortError> {
///     let batch = Batch {
///         arrivals: Arc::from([record.into()]),
///         rules: Arc::new(RuleBook::default()),
///         now: clock.now(),
///         owner: None,
///         published: Vec::new(),
///     };
///     Ok(repository.commit(batch).await?.outcomes.pop())
/// }
/// ```
#[async_trait]
pub trait RecordRepository: Send + Sync {
    /// Commits a batch with all its effects, in one transaction.
    ///
    /// In this transaction an adapter MUST
    ///
    /// 1. lock every key of the batch, in the order of their bytes, so that no other commit changes it;
    /// 2. then read the records with the batch's ids, the summaries of its keys, and the version of the managed rules
    ///    (see [`RuleRepository`](crate::ports::RuleRepository));
    /// 3. take the rules from [`RuleBook::in_force`] and call [`crate::plan`]. `in_force` calls its closure synchronously,
    ///    so an adapter whose reads are async reads the managed rules before the call;
    /// 4. write the plan, and give the stored records the next positions, in their order;
    /// 5. add an [`OutboxEntry`] for these positions that belongs to `batch.owner`, with the emitter of that owner, and
    ///    remove the entries in `batch.published` that are this owner's.
    ///
    /// On success all of it MUST be durable and visible; on an error none of it. When two commits race for one record
    /// id under different keys, the adapter MUST start the later one again.
    ///
    /// Instead of steps 1 and 2 an adapter MAY commit *optimistically*: plan from cached state (see
    /// `tallyhouse_pipeline::adapter::SummaryCache`). The transaction MUST then write nothing unless every planned id is
    /// free, every planned key has exactly the cached summary, and the rules have the cached version. If one of these
    /// does not hold, or if the plan rejects a record because of cached state, the adapter MUST commit the batch with
    /// locks instead.
    ///
    /// Positions MUST have no gap and become visible in order: a reader that has seen position n has seen every
    /// smaller one that will ever exist.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ports::PortErrorKind::Unavailable): the store can't commit now. The batch may be
    /// committed nevertheless, and repeating it is safe. [`Refused`](crate::ports::PortErrorKind::Refused): the store
    /// refuses something in the batch, and the caller looks for the record at fault.
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    /// The store does not answer.
    async fn ping(&self) -> Result<(), PortError>;

    /// Checks that the store takes records, as far as it can find out without storing one: e.g. by a write that it
    /// rolls back. Called only after commits have failed, until it succeeds. MUST leave nothing behind that a reader
    /// sees, and SHOULD end within a second or two. By default it is a ping.
    ///
    /// # Errors
    /// The store takes no records now.
    async fn ping_write(&self) -> Result<(), PortError> {
        self.ping().await
    }

    /// Returns the optional part of this port. By default there is none, and ordered batches are committed one after
    /// the other.
    fn pipelined(&self) -> Option<&dyn PipelinedRepository> {
        None
    }
}

/// Records to commit together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The records.
    pub arrivals: Arc<[Arrival]>,
    /// The host's rules, and the store's as they were last read.
    pub rules: Arc<RuleBook>,
    /// The time of processing.
    pub now: Timestamp,
    /// The instance that will publish the messages; `None` leaves them to the first owner that claims them.
    pub owner: Option<Owner>,
    /// The owner's entries whose messages have been published since its last commit. They are removed as
    /// [`Outbox::mark_published`](crate::ports::Outbox::mark_published) does; a batch without an owner removes none.
    pub published: Vec<OutboxId>,
}

/// The result of a commit.
#[derive(Debug, Clone)]
pub struct Committed {
    /// One outcome for each record of the batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// The new outbox entry; `None` if nothing was stored.
    pub entry: Option<OutboxEntry>,
}
