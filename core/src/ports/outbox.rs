//! The outbox port: which committed batches still have to be published, and by whom.
//!
//! A commit writes one [`OutboxEntry`] for its whole batch; the messages themselves are rebuilt from the stored
//! records. An entry belongs to the [`Owner`] that committed it for as long as that owner's lease lasts; afterwards any
//! other instance may claim it whose emitter publishes to the same place.
//!
//! Ownership and leases go by the owner's name alone. A claim changes the owner of an entry, and never its emitter, which
//! stays that of the commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::outcome::StoredRecord;
use crate::ports::error::PortError;
use crate::record::time::Timestamp;

/// Keeps the entries of committed batches until their messages are published.
///
/// ```
/// use tallyhouse_core::Message;
/// use tallyhouse_core::ports::{ClaimScope, HistoryQuery, MessageEmitter, Owner, PortError, Store};
///
/// /// Publishes the messages of one abandoned entry, if there is one.
/// async fn publish_one(store: &dyn Store, emitter: &dyn MessageEmitter, owner: &Owner) -> Result<(), PortError> {
///     for entry in store.claim(owner, ClaimScope::Abandoned, 1).await? {
///         let limit = (entry.last - entry.first + 1) as usize;
///         let query = HistoryQuery { after: entry.first - 1, alerting_only: false, limit };
///         let page = store.history(query).await?;
///         // The store may have gone back to an earlier state since the claim.
///         if !page.iter().all(|(_, stored)| entry.has(stored)) {
///             continue;
///         }
///         for (position, stored) in page {
///             emitter.emit(&Message::all_of(position, &stored).collect::<Vec<_>>()).await?;
///         }
///         store.mark_published(owner, &[entry.id]).await?;
///     }
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Makes the owner's lease last `lease` from now, by a clock that all owners share (the store's, where it has one).
    /// A lease of zero ends it; an owner without a lease is no error.
    ///
    /// The pipeline passes its `PipelineSettings::lease`, by default 10 s. The service passes a day at most, and the
    /// conformance suite an hour. For an embedding host the setting has no upper limit.
    ///
    /// A lease SHOULD outlive a restart of the store. If it does not, other owners claim the entries of an owner that is
    /// alive, and messages are published twice.
    ///
    /// An adapter MUST treat a lease as lapsed if it ends more than twice its length from now: the clock that wrote it
    /// was ahead, and has been set back.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError>;

    /// Returns up to `entries_max` entries in `scope`, oldest first: in the order of their first positions, not of
    /// [`OutboxEntry::processed_at`]. Those of [`ClaimScope::Abandoned`] become this owner's, and keep their emitter.
    ///
    /// An adapter MUST hand an abandoned entry to one caller only, and MUST NOT keep a transaction open. It MUST store
    /// the emitter of the committing owner with each entry. It MUST hand an abandoned entry with an emitter only to an owner
    /// with the same one: another emitter would publish where the entry's subscribers do not listen.
    ///
    /// # Errors
    /// The store can't do it now. Abandoned entries may have become this owner's nevertheless.
    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError>;

    /// Removes entries whose messages have been published. An adapter MUST ignore entries that are not this owner's, and
    /// every entry with another id, even at the same positions.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError>;

    /// Returns how much is still to be published, by all owners.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn backlog(&self) -> Result<Backlog, PortError>;
}

/// An instance that publishes. Its name differs at every start of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    name: Arc<str>,
    emitter: Option<Arc<str>>,
}

impl Owner {
    /// Takes a name that no other instance has, nor an earlier start of this one, e.g. a random UUID. With a name that is
    /// the same at every start, an instance would share the lease and the entries of a process that is still stopping.
    ///
    /// ```
    /// use std::hash::{BuildHasher as _, RandomState};
    /// use tallyhouse_core::ports::Owner;
    ///
    /// // The keys of a `RandomState` are random, and no two of one process are the same.
    /// let start = || Owner::new(&format!("instance-1-{:016x}", RandomState::new().hash_one("start")));
    /// assert_ne!(start(), start());
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: Arc::from(name), emitter: None }
    }

    /// Adds the name of the owner's emitter: see [`MessageEmitter::name`](crate::ports::MessageEmitter::name).
    #[must_use]
    pub fn with_emitter(self, emitter: Option<&str>) -> Self {
        Self { emitter: emitter.map(Arc::from), ..self }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the name of the owner's emitter.
    #[must_use]
    pub fn emitter(&self) -> Option<&str> {
        self.emitter.as_deref()
    }

    /// Says whether this owner may publish an entry of this emitter: it must be the owner's own emitter, or none.
    #[must_use]
    pub fn may_publish(&self, emitter: Option<&str>) -> bool {
        emitter.is_none() || emitter == self.emitter()
    }
}

/// The identity of an outbox entry. No other entry ever has it: a store that was restored to an earlier state uses
/// positions again, and only the random number tells the entries apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId {
    first: u64,
    nonce: u64,
}

impl OutboxId {
    /// Combines the first position of the entry with a number that the adapter draws at random for each commit.
    ///
    /// The number may be any of 64 bits. An adapter whose database has only signed numbers stores the same bits, by
    /// [`u64::cast_signed`]. The core brings no random numbers: an adapter uses e.g. the crate `getrandom`.
    #[must_use]
    pub const fn new(first: u64, nonce: u64) -> Self {
        Self { first, nonce }
    }

    /// Returns the first position of the entry.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// Returns the random number.
    #[must_use]
    pub const fn nonce(self) -> u64 {
        self.nonce
    }
}

/// A committed batch whose messages are not known to be published: those of the records at positions `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The identity.
    pub id: OutboxId,
    /// The first position.
    pub first: u64,
    /// The last position.
    pub last: u64,
    /// When its records were processed: the `now` of their [`Batch`](crate::ports::Batch).
    pub processed_at: Timestamp,
}

impl OutboxEntry {
    /// Says whether a record that was read at one of the entry's positions is one of the entry's own.
    ///
    /// Entry and record are read by two calls. Between them the store may go back to an earlier state and use the positions
    /// again for records that were processed at another time. If those were published for this
    /// entry, and the entry marked as published, its own messages would be lost once the store returns to the later state.
    #[must_use]
    pub fn has(&self, stored: &StoredRecord) -> bool {
        stored.processed.processed_at == self.processed_at
    }
}

/// How much is still to be published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of entries, that is of batches.
    pub batches: u64,
    /// Number of records in them.
    pub records: u64,
    /// The earliest [`OutboxEntry::processed_at`] of all entries; `None` without entries. The clocks of instances differ,
    /// so this need not be that of the first position.
    pub oldest: Option<Timestamp>,
}

/// Which outbox entries are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimScope {
    /// The caller's own, by its name, whether or not its lease is live. The emitter is not compared: an owner has entries of
    /// another emitter only if it shares its name with another owner.
    Own,
    /// Those without an owner, and those of another owner without a live lease: its lease has lapsed, was ended, or
    /// never existed. Entries of another emitter are left out.
    Abandoned,
    /// Those that `Abandoned` leaves out because they belong to another emitter. A claim lists them, and changes
    /// nothing.
    Foreign,
}
