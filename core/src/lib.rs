//! The domain of Tallyhouse: what a record is, what a batch of records does to what is stored, and what the world
//! outside must provide for that.
//!
//! The crate is pure: it knows no database, no HTTP, no runtime and no clock. It asks for these through the traits in
//! [`ports`]; a type that implements one is an adapter. `tallyhouse-pipeline` runs records through the ports,
//! `tallyhouse-testing` has the suites that adapters pass.
//!
//! ```
//! use tallyhouse_core::{Draft, Known, Outcome, RuleSet, Timestamp, plan};
//!
//! let draft = Draft {
//!     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
//!     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
//! };
//! let record = draft.check()?;
//! // What a batch does to what is stored is a pure function. The second record is a duplicate of the first.
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
mod rows;
pub mod ports;

pub use cursor::{Cursor, CursorError, Fingerprint, Position};
pub use message::{Message, MessageFormat, Topic};
pub use outcome::{Outcome, OutcomeCounts, ProcessedRecord, StoredRecord};
pub use plan::{Arrival, Known, Plan, plan};
pub use query::{Filter, GroupQuery, RecordQuery, SummaryQuery};
pub use record::draft::Draft;
pub use record::json::{ArrayError, NESTING_MAX, records_from_json_array, well_formed};
pub use record::rejection::{FieldError, Rejection, RejectionCode};
pub use record::text::{DestinationId, Key, RecordId, Reference, SourceId, TextError, Unit};
pub use record::time::{Timestamp, TimestampError};
pub use record::traceparent::is_traceparent;
pub use record::value::{Value, ValueError};
pub use record::{Field, Record, RecordType};
pub use roll_up::{Period, Periods, RollUp, RollUpPlan};
pub use rows::{RECORD_COLUMNS, TOTAL_COLUMNS, write_record_row, write_row, write_total_rows};
pub use rule::book::{ManagedRule, ManagedRules, OnlyIf, RuleBook, RuleEdit, RuleEdited, amend};
pub use rule::json::NameGiven;
pub use rule::{Rule, RuleDraft, RuleError, RuleOn, RuleSet, rules_from_json, rules_to_json};
pub use summary::sum::{Net, Sum};
pub use summary::{Side, Summary, UnitTotal};
