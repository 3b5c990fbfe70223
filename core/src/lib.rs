//! The core of Tallyhouse: takes records from any door, processes **each exactly once**, sums them up exactly, and owes
//! a message for every one of them, all in one transaction of whatever store it is given.
//!
//! The core is pure: it knows no database, no HTTP, no runtime and no clock. All that it asks of the world is in
//! [`ports`]; whoever implements these traits is an adapter. `core/examples/embed.rs` is a whole program.
//!
//! ```
//! use tallyhouse_core::{Draft, Known, Outcome, RuleSet, Timestamp, plan};
//!
//! let draft = Draft {
//!     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
//!     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
//! };
//! let record = draft.check()?;
//! // The heart of it: what a batch does to what is stored, as a pure function. The second one is a duplicate.
//! let now = Timestamp::parse("2026-01-01T09:30:01Z")?;
//! let plan = plan(&[record.clone().into(), record.into()], Known::default(), &RuleSet::default(), now);
//! assert!(matches!(plan.outcomes[0], Outcome::Processed(_)));
//! assert!(matches!(plan.outcomes[1], Outcome::Duplicate { sequence: 1, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A record and its parts, in the order in which to read them.
mod text;
mod time;
mod value;
mod record;
mod trace;
mod reject;
mod draft;
mod json;
// What records add up to, and what they cause.
mod sum;
mod summary;
mod rule;
mod rule_book;
mod outcome;
mod plan;
mod message;
mod rows;
// The world outside, and what can be asked of it.
pub mod ports;
mod query;
mod roll_up;
mod recall;
mod memory;
// From a record that is submitted to its messages.
mod retry;
mod breaker;
mod meter;
mod intake;
mod turn;
mod writer;
mod isolate;
mod outbox;
mod relay;
mod pipeline;
mod consume;
mod feed;
mod export;
mod dry_run;
mod audit;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod simulation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use audit::{AuditReport, audit};
pub use breaker::{Breaker, BreakerState, Breakers};
pub use consume::{Consumer, PAYLOAD_BYTES_MAX};
pub use draft::Draft;
pub use dry_run::{DryRun, DryRunReport};
pub use export::{Export, ExportPage, export};
pub use feed::Feed;
pub use intake::{Door, SubmitError};
pub use json::{ArrayError, NESTING_MAX, records_from_json_array, well_formed};
pub use memory::MemoryRepository;
pub use message::{Message, MessageFormat, Position, PositionError, Topic};
pub use meter::{DoorReading, Histogram, HistogramReading, Readings};
pub use outcome::{Outcome, OutcomeCounts, ProcessedRecord, StoredRecord};
pub use pipeline::{Driver, Pipeline, PipelineParts, PipelineSettings};
pub use plan::{Arrival, Known, Plan, plan};
pub use query::{AuditPart, Filter, GroupPart, GroupQuery, Groups, PartStream, RecordQuery, RollUp, SummaryQuery};
pub use recall::{RecentSummaries, Trust};
pub use record::{Field, Record, RecordType};
pub use reject::{FieldError, Rejection, RejectionCode};
pub use retry::RetryPolicy;
pub use roll_up::{Cover, FoldSchedule, Stretch, Stretches};
pub use rows::{RECORD_COLUMNS, TOTAL_COLUMNS, write_record_row, write_row, write_total_rows};
pub use rule::{NameGiven, Rule, RuleDraft, RuleError, RuleOn, RuleSet, rules_from_json, rules_to_json};
pub use rule_book::{ManagedRule, ManagedRules, OnlyIf, RuleBook, RuleEdit, RuleEdited, amend};
pub use sum::{Net, Sum};
pub use summary::{Side, Summary, UnitTotal};
pub use text::{DestinationId, Key, RecordId, Reference, SourceId, TextError, Unit};
pub use time::{Timestamp, TimestampError};
pub use trace::is_traceparent;
pub use turn::{OrderedDoor, Turns};
pub use value::{Value, ValueError};
