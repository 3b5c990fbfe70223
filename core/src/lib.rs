//! The domain of Tallyhouse: records, exact summaries, alert rules, the plan of a commit, messages, and the ports.
//!
//! The crate is pure: it knows no database, no HTTP, no runtime and no clock. It reaches them through the traits in
//! [`ports`]; a type that implements one is an adapter. `tallyhouse-pipeline` runs records through the ports, and
//! `tallyhouse-testing` has the conformance suites of the adapters.
//!
//! To read the source, take the modules in the order of `lib.rs`: a [`Record`] is valid by construction; a [`Summary`]
//! has exact totals; a [`Rule`] is met by a record; [`plan`](plan()) turns a batch into [`Outcome`]s and writes; a
//! [`Message`] is rebuilt from a [`StoredRecord`]; queries, roll-ups and CSV serve reads; the ports come last.
//!
//! ```
//! use tallyhouse_core::{Draft, Known, Outcome, RuleSet, Timestamp, plan};
//!
//! let draft = Draft {
//!     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
//!     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
//! };
//! let record = draft.check()?;
//! // A plan is a pure function of the batch and of what is stored. The second record is a duplicate of the first.
//! let now = Timestamp::parse("2026-01-01T09:30:01Z")?;
//! let plan = plan(&[record.clone().into(), record.into()], Known::default(), &RuleSet::default(), now);
//! assert!(matches!(plan.outcomes[0], Outcome::Processed(_)));
//! assert!(matches!(plan.outcomes[1], Outcome::Duplicate { sequence: 1, .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Read in this order.
mod record;
mod summary;
mod rule;
mod outcome;
mod plan;
mod message;
mod cursor;
mod query;
mod roll_up;
mod csv;
pub mod ports;

pub use csv::{RECORD_COLUMNS, TOTAL_COLUMNS, write_record_row, write_row, write_total_rows};
pub use cursor::{Cursor, CursorError, Fingerprint, Position};
pub use message::{Message, MessageFormat, Topic};
pub use outcome::{Outcome, OutcomeCounts, ProcessedRecord, StoredRecord};
pub use plan::{Arrival, Known, Plan, plan};
pub use query::{Alerting, Filter, GroupQuery, RecordOrder, RecordQuery, SummaryQuery};
pub use record::draft::Draft;
pub use record::json::{ArrayError, NESTING_MAX, json_text, records_from_json_array, without_byte_order_mark};
pub use record::rejection::{FieldError, Rejection, RejectionCode};
pub use record::text::{DestinationId, Key, RecordId, Reference, SourceId, TextError, Unit};
pub use record::time::{Timestamp, TimestampError};
pub use record::traceparent::is_traceparent;
pub use record::value::{Value, ValueError};
pub use record::{Field, Record, RecordType};
pub use roll_up::{Period, Periods, RollUp, RollUpPlan};
pub use rule::book::{ManagedRule, ManagedRules, Precondition, RuleBook, RuleEdit, RuleEditOutcome, amend};
pub use rule::json::RuleName;
pub use rule::{Rule, RuleDraft, RuleError, RuleOn, RuleSet, rules_from_json, rules_to_json};
pub use summary::sum::{Net, Sum};
pub use summary::{Side, Summary, UnitTotal};
