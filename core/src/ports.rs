//! The ports: all that the core asks of the world outside. **Read this file first.**
//!
//! A type that implements one of these traits is an adapter. What an adapter MUST and SHOULD do is said at each method;
//! the conformance suites in `testing` show it. Methods take `&self` and are called from several tasks at once.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::message::Message;
use crate::outcome::{Outcome, StoredRecord};
use crate::plan::Arrival;
use crate::query::{AuditPart, GroupQuery, Groups, PartStream, RecordQuery, SummaryQuery};
use crate::reject::RejectionCode;
use crate::rule_book::{ManagedRules, RuleBook, RuleEdit, RuleEdited};
use crate::summary::Summary;
use crate::text::{RecordId, Reference};
use crate::time::Timestamp;
use crate::turn::Turns;

/// Where records, running summaries and the outbox are kept, and the only judge of what was seen before.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait RecordRepository: Send + Sync {
    /// Commits a batch with all that it causes, in one transaction.
    ///
    /// An adapter MUST, in this transaction: lock every key of the batch in sorted order (bytes), so that no other
    /// commit changes it; then read the records of the batch's ids and the summaries of its keys, and the version of
    /// the managed rules (see [`RuleRepository`]); take the rules of [`RuleBook::in_force`]; call [`crate::plan`];
    /// write what the plan says; give the stored records the next positions, in their order; note that their messages
    /// are owed by `batch.owner`; and forget the owed batches in `batch.settled`. Afterwards all of it is durable and
    /// visible, or, on an error, none of it. When two commits race for one record id under different keys, the adapter
    /// MUST begin the later one again.
    ///
    /// Instead of locking and reading first, it MAY plan from what it expects the store to have (see
    /// [`crate::RecentSummaries`]). Then the transaction MUST write nothing unless each planned id is free, each
    /// planned key has the very summary that was expected, and the rules have that version; where it is not so, or
    /// where a record was rejected for what was only expected, the batch MUST be done the first way.
    ///
    /// What is ordered comes after `batch.turns` say so: usually that all before is done. An adapter MAY call
    /// [`Turns::begin`] before the batch is committed, when no later commit of this process can come before it: one
    /// that has a key or an id in common with it is planned upon it, or waits for it. Then it MUST, for each batch:
    /// check [`Turns::have_come`] at that moment, under the lock that makes the order, and answer
    /// [`PortErrorKind::OutOfTurn`] if it is not so, unless [`Turns::are_first`]; and call [`Turns::take_back`] under
    /// that lock if the commit fails.
    ///
    /// Positions MUST become visible in order: a reader who has seen position n has seen every smaller one that will
    /// ever exist, and positions have no gap.
    ///
    /// # Errors
    /// [`PortErrorKind::Unavailable`] when the store can't do it now; it may even have been done, and the caller repeats it safely.
    /// [`PortErrorKind::Refused`] when the store refuses what is in the batch; the caller seeks the record at fault.
    /// [`PortErrorKind::OutOfTurn`] when what comes before the batch is not sure to be done; the caller waits for it.
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError>;

    /// Returns the stored record of this id.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError>;

    /// Returns a page of records, ordered by `time`, then `recordId` (bytes).
    ///
    /// # Errors
    /// The store can't answer now.
    async fn records(&self, query: RecordQuery) -> Result<Vec<StoredRecord>, PortError>;

    /// Returns a page of the running summaries of one destination, ordered by reference (bytes).
    ///
    /// # Errors
    /// The store can't answer now.
    async fn summaries(&self, query: SummaryQuery) -> Result<Vec<(Reference, Summary)>, PortError>;

    /// Returns the matching records grouped by destination (bytes), from one snapshot.
    ///
    /// An adapter MUST stream in bounded memory whatever the number of groups and records, and MUST stop reading soon
    /// after the stream is dropped. A group's summary MUST be exactly that of its matching records.
    ///
    /// # Errors
    /// The store can't answer now; also in the stream, where it ends the answer.
    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError>;

    /// Returns stored records with their positions, by position: the source of catch-up, resume and publishing.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError>;

    /// Returns the last position, 0 if there is none.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn head(&self) -> Result<u64, PortError>;

    /// Makes the owner's lease last `lease` from now, by a clock that all owners share (the store's, where it has one).
    /// A lease of zero ends it.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError>;

    /// Returns up to `batches_max` of the batches whose messages are owed, oldest first: [`Whose::Own`], those of this
    /// owner; [`Whose::Abandoned`], those of no owner, or of one whose lease has lapsed, which become this owner's.
    ///
    /// An adapter MUST hand an abandoned batch to one caller only, and MUST not keep a transaction open.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn claim(&self, owner: &Owner, whose: Whose, batches_max: usize) -> Result<Vec<OwedBatch>, PortError>;

    /// Forgets batches whose messages have been published, as far as they are still this owner's.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn settle(&self, owner: &Owner, published: &[OwedId]) -> Result<(), PortError>;

    /// Returns how much is owed now.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn owed(&self) -> Result<OwedStats, PortError>;

    /// Reads everything, in one snapshot, for an audit: key by key (sorted by bytes), each with its records by
    /// sequence, and last what is owed. A row that can't be read MUST be named, not skipped.
    ///
    /// # Errors
    /// The store can't answer now; also in the stream, where it ends the audit.
    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError>;

    /// Asks whether the store answers.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), PortError>;
}

/// Where the managed alert rules are kept: in the store of the records, since each commit is to see them.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait RuleRepository: Send + Sync {
    /// Returns the managed rules with their version, from one snapshot.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn managed_rules(&self) -> Result<ManagedRules, PortError>;

    /// Changes one of them.
    ///
    /// An adapter MUST, in one transaction: keep every other change away; read the rules and their version; call
    /// [`crate::amend`]; and write what it says, with the version. Every commit that begins after this call has
    /// returned, by whatever instance, MUST see the new version.
    ///
    /// # Errors
    /// The store can't do it now; it may even have been done, and the caller may repeat it.
    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEdited, PortError>;
}

/// Where records come from, beside direct calls: a queue.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait RecordSource: Send + Sync {
    /// Returns the name of the source in logs and dead letters, e.g. `list`.
    fn name(&self) -> &'static str;

    /// Waits for payloads and returns up to `max` of them; may return none after a while of waiting.
    ///
    /// A payload MUST stay in the queue until it is settled, also when this consumer dies, and MUST then be handed to
    /// another one. Cancelling the call MUST lose nothing. An adapter SHOULD wait by blocking, not by polling.
    ///
    /// # Errors
    /// The queue can't answer now; the caller tries again after a while.
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError>;

    /// Ends what was received: removes it, or puts it into the dead letters first and then removes it, or gives it back
    /// to be received again. Settling twice MUST do no harm.
    ///
    /// # Errors
    /// The queue can't do it now; what was not settled is received again some time.
    async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), PortError>;

    /// Asks whether the queue answers: while it is away, before it is tried again. MUST change nothing and SHOULD be
    /// cheap. An adapter that has nothing to ask lets the next try decide.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Where refused queue payloads are kept until somebody repairs, replays or drops them.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Returns a page of dead letters, oldest first, those after the one with the id `after`.
    ///
    /// # Errors
    /// [`PortErrorKind::Misuse`] if `after` is no id that was handed out; otherwise the store can't answer now.
    async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<DeadLetter>, PortError>;

    /// Returns one dead letter; `None` also for an id that could not be one.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, PortError>;

    /// Removes one dead letter; says whether there was one.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn remove(&self, id: &str) -> Result<bool, PortError>;
}

/// Where messages go.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait MessageEmitter: Send + Sync {
    /// Publishes messages in their order, and returns when the other side has them all.
    ///
    /// # Errors
    /// Some may not have been published; the caller repeats all of them.
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError>;

    /// Asks whether the other side answers: while it is away, before it is tried again. MUST publish nothing and SHOULD
    /// be cheap. An adapter that has nothing to ask lets the next try decide.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// What time it is, and how to wait.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// Records to commit together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The records.
    pub arrivals: Arc<[Arrival]>,
    /// The rules of the host, and of the store as they were last read.
    pub rules: Arc<RuleBook>,
    /// When they are processed.
    pub now: Timestamp,
    /// Who will publish the messages; `None` leaves them to whoever claims them.
    pub owner: Option<Owner>,
    /// The owner's earlier batches whose messages have been published.
    pub settled: Vec<OwedId>,
    /// What comes before the batch and after it.
    pub turns: Turns,
}

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Committed {
    /// One outcome for each record of the batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// What is owed now; `None` if nothing was stored.
    pub owed: Option<OwedBatch>,
}

/// Who owes messages: the name of one running instance, different at every start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Takes a name that no other instance has, e.g. a random UUID.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a batch whose messages are owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwedId(pub i64);

/// A batch whose messages are owed: those of the records at the positions `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedBatch {
    /// The identity.
    pub id: OwedId,
    /// The first position.
    pub first: u64,
    /// The last position.
    pub last: u64,
}

/// How much is owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwedStats {
    /// How many batches.
    pub batches: u64,
    /// How many records they hold.
    pub records: u64,
    /// When the oldest of them was processed.
    pub oldest: Option<Timestamp>,
}

/// Which owed batches are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The caller's own.
    Own,
    /// Those of nobody, or of an owner whose lease has lapsed.
    Abandoned,
}

/// A page of the stored records by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only positions above this.
    pub after: u64,
    /// Only records that met a rule.
    pub alerting_only: bool,
    /// How many at most.
    pub limit: usize,
}

/// One payload from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// By which the source knows it again.
    pub tag: String,
    /// The bytes; `None` for an entry that has none.
    pub payload: Option<Vec<u8>>,
    /// The W3C trace context that came with it.
    pub traceparent: Option<String>,
}

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which delivery.
    pub tag: String,
    /// How it ends.
    pub verdict: Verdict,
}

impl Settlement {
    /// Says whether the delivery becomes a dead letter.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.verdict, Verdict::Refused { .. })
    }
}

/// The ways in which a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was processed, or had been before: remove it.
    Done,
    /// It is refused for its own fault: put it into the dead letters, then remove it.
    Refused {
        /// Why, in a code.
        reason: RefusalReason,
        /// Why, in words.
        detail: String,
    },
    /// It was not processed, through no fault of its own: give it back.
    Return,
}

/// Why a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// It is no record.
    Rejection(RejectionCode),
    /// Its id was seen before with other content.
    Conflict,
}

impl RefusalReason {
    /// Returns the code that a dead letter has as its `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejection(code) => code.name(),
            Self::Conflict => "conflict",
        }
    }
}

/// A payload that was refused, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity among the dead letters.
    pub id: String,
    /// The bytes as they came.
    pub payload: Vec<u8>,
    /// Why, in a code: see [`RefusalReason::name`].
    pub reason: String,
    /// Why, in words.
    pub detail: String,
    /// The name of the source it came by.
    pub origin: String,
    /// When it was refused: RFC 3339.
    pub at: String,
}

/// What a caller can do about a failed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// The other side can't do it now: try again later.
    Unavailable,
    /// The other side refuses what it was given: trying the same again is of no use.
    Refused,
    /// What is stored can't be read: stop and look.
    Corrupt,
    /// The caller or the adapter is wrong: a bug of ours.
    Misuse,
    /// What comes before has to be done first: only from [`RecordRepository::commit`].
    OutOfTurn,
}

/// A port failed. `Display` says what for; [`Error::source`] says why.
#[derive(Debug)]
pub struct PortError {
    kind: PortErrorKind,
    what: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// Says what failed (in the words of the port, e.g. "committing a batch") and why.
    pub fn new(kind: PortErrorKind, what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, what, source: Some(source.into()) }
    }

    /// Returns what can be done about it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        self.kind
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.kind {
            PortErrorKind::Unavailable => "is unavailable",
            PortErrorKind::Refused => "refused its input",
            PortErrorKind::Corrupt => "found corrupt data",
            PortErrorKind::Misuse => "was misused",
            PortErrorKind::OutOfTurn => "was asked out of turn",
        };
        write!(f, "{}: the port {state}", self.what)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
