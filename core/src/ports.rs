//! The ports: the traits through which the core reaches the outside world. **Write an adapter? Read this module first.**
//!
//! A type that implements one of these traits is an adapter. Each method says what an adapter MUST and SHOULD do
//! (RFC 2119), and the conformance suites of `tallyhouse-testing` check it. Methods take `&self` and are called from
//! several tasks at once.
//!
//! | port | what it does | needed by |
//! |---|---|---|
//! | [`RecordRepository`] | commits batches | every host |
//! | [`RecordReader`] | answers queries | every host that reads or publishes |
//! | [`Outbox`] | keeps track of unpublished messages | hosts that publish |
//! | [`RuleRepository`] | keeps alert rules that change at run time | hosts that offer that |
//! | [`PipelinedRepository`] | starts a commit before the one before it is done | an optional part, for speed |
//! | [`RecordSource`], [`DeadLetters`] | read a queue, keep its refused payloads | hosts with queues |
//! | [`MessageEmitter`] | publishes messages | hosts that publish |
//! | [`Clock`] | tells the time and waits | every host |
//!
//! An adapter needs two crates beside this one: `async-trait`, by which the traits have async methods, and `futures-core`
//! or `futures`, for the streams of [`RecordReader`] ([`PartStream`]).
//!
//! The conformance suite of repositories needs all of [`RecordRepository`], [`RecordReader`], [`Outbox`] and
//! [`RuleRepository`], though a host may need the first alone.
//!
//! An adapter that stores whole values as text uses the conversions of the core. Each has an inverse:
//!
//! | value | to text | from text |
//! |---|---|---|
//! | `StoredRecord` | [`to_stored`](crate::StoredRecord::to_stored) | [`from_stored`](crate::StoredRecord::from_stored) |
//! | `Summary` | [`to_compact`](crate::Summary::to_compact) | [`from_compact`](crate::Summary::from_compact) |
//! | `Rule` | [`to_stored`](crate::Rule::to_stored) | [`from_stored`](crate::Rule::from_stored) |
//! | the rules that a record met | [`rules_to_json`](crate::rules_to_json) | [`rules_from_json`](crate::rules_from_json) |

mod error;
mod clock;
mod outbox;
mod repository;
mod pipelined;
mod page;
mod reader;
mod rules;
mod source;
mod dead_letters;
mod emitter;

pub use clock::Clock;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use emitter::MessageEmitter;
pub use error::{PortError, PortErrorKind};
pub use outbox::{Backlog, ClaimScope, Outbox, OutboxEntry, OutboxId, Owner};
pub use page::{PAGE_WEIGHT_MAX, Page, PageBuilder, Weigh};
pub use pipelined::{CommitOrder, PipelinedRepository, Unordered};
pub use reader::{AuditPart, GroupPart, Groups, HistoryQuery, PartStream, RecordReader};
pub use repository::{Batch, Committed, RecordRepository};
pub use rules::RuleRepository;
pub use source::{Acknowledgement, DeadLetterReason, Delivery, Disposition, PAYLOAD_BYTES_MAX, RecordSource};

/// A store that commits, reads, and keeps the outbox. Every type that implements the three traits implements it.
///
/// `Arc<dyn Store>` coerces to an `Arc` of any of the three (trait upcasting).
pub trait Store: RecordRepository + RecordReader + Outbox {}

impl<T: RecordRepository + RecordReader + Outbox + ?Sized> Store for T {}
