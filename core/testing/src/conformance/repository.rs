//! The conformance suite of [`RecordRepository`]: what every store must do, run unchanged against each.
//!
//! An adapter implements [`RepositoryFixture`] and calls [`repository_conformance!`](crate::repository_conformance) in
//! a test module; each case becomes a test of its own. Its crate needs tokio's `macros`, `rt-multi-thread` and `time`
//! among its dev-dependencies.

pub mod audit;
pub mod commits;
pub mod groups;
pub mod outbox;
pub mod pages;
pub mod races;
pub mod rules;
pub mod sums;
mod whole;

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_core::ports::{Batch, Committed, Owner, RuleRepository, Store};
use tallyhouse_core::{
    Arrival, Outcome, Record, RecordId, Rule, RuleBook, RuleDraft, RuleSet, StoredRecord, Timestamp, rules_to_json,
};

use async_trait::async_trait;

/// A store of its own for one case, with as many handles as the case wants.
#[async_trait]
pub trait RepositoryFixture: Send + Sync + Sized {
    /// Makes a new, empty store that shares nothing with any other. Dropping the fixture takes it away.
    async fn fresh() -> Self;

    /// Reorder a handle on the store: at each call another one, as another running instance would have it.
    async fn handle(&self) -> Arc<dyn Store>;

    /// Reorder a handle on the managed rules of this store: at each call another one, too.
    async fn rules(&self) -> Arc<dyn RuleRepository>;

    /// Reorder once a lease of this length that was renewed before the call has lapsed, by the store's clock. The
    /// suite asks it of leases of [`SHORT_LEASE`] only.
    async fn let_lapse(&self, lease: Duration);

    /// Does now what the store would do behind the commits some time: e.g. folds its records into roll-ups. A store
    /// that does nothing of the kind leaves it at that.
    async fn tidy_up(&self) {}
}

/// The lease that is left to lapse: short, because a store may judge by its own clock, which nobody can move on.
pub const SHORT_LEASE: Duration = Duration::from_millis(300);

/// A lease that outlives every case.
pub const LONG_LEASE: Duration = Duration::from_secs(3_600);

/// Makes a test of every case of the repository's conformance suite, for a type that implements
/// [`RepositoryFixture`](crate::RepositoryFixture).
///
/// ```
/// mod conformance {
///     tallyhouse_testing::repository_conformance!(tallyhouse_testing::MemoryFixture);
/// }
/// ```
#[macro_export]
macro_rules! repository_conformance {
    ($fixture:ty) => {
        $crate::conformance_tests! { $fixture, repository;
            commits::an_empty_store_answers_emptily;
            commits::a_record_is_found_exactly_as_it_came;
            commits::a_duplicate_changes_nothing;
            commits::a_conflict_names_the_fields_and_changes_nothing;
            commits::inside_a_batch_records_meet_as_they_do_in_the_store;
            commits::sequences_and_previous_summaries_run_on;
            commits::a_batch_of_n_does_what_n_batches_of_one_do;
            commits::a_key_that_only_refusals_touch_has_no_summary;
            commits::rules_and_traces_are_kept_as_they_were;
            commits::ten_thousand_records_are_one_commit;
            commits::a_batch_of_nothing_stores_nothing;
            sums::sums_stay_exact_far_beyond_one_value;
            sums::a_sum_keeps_the_largest_scale;
            sums::the_unit_beyond_the_limit_is_rejected;
            races::one_hot_key_counts_every_record_of_all_writers;
            races::the_same_records_in_opposite_orders_have_one_effect_each;
            races::one_id_raced_under_two_keys_has_one_effect;
            races::history_shows_every_position_in_order_while_others_commit;
            races::a_commit_that_nobody_waits_for_is_whole_or_nothing;
            races::a_batch_sent_by_all_at_once_is_processed_once;
            races::senders_keep_their_order_with_two_chunks_under_way;
            pages::records_page_by_time_then_id;
            pages::every_filter_finds_what_a_naive_look_finds;
            pages::filters_compare_texts_by_bytes;
            pages::start_is_inclusive_and_end_is_exclusive;
            pages::summaries_page_by_reference;
            pages::history_pages_by_position;
            groups::groups_come_by_destination_in_byte_order;
            groups::totals_are_those_of_the_records_listed;
            groups::totals_are_exact_whatever_is_kept_ready;
            groups::groups_page_by_destination;
            groups::an_answer_is_one_snapshot_while_a_writer_goes_on;
            groups::leaving_an_answer_early_leaves_the_store_usable;
            outbox::a_commit_owes_messages_to_its_owner;
            outbox::refusals_and_repetitions_owe_nothing;
            outbox::what_nobody_owes_goes_to_the_first_who_asks;
            outbox::claims_take_the_oldest_first_up_to_the_limit;
            outbox::a_live_lease_is_not_taken_over;
            outbox::a_lapsed_lease_is_taken_over_by_exactly_one;
            outbox::every_abandoned_batch_is_handed_out_once;
            outbox::a_settlement_by_another_does_nothing;
            outbox::the_next_commit_settles_what_was_published;
            outbox::a_lease_of_zero_ends_it;
            outbox::what_is_owed_is_counted;
            rules::a_new_store_has_no_managed_rules;
            rules::a_managed_rule_is_kept_as_it_was_put;
            rules::a_change_is_in_force_for_every_commit_after_it;
            rules::changes_at_once_come_one_after_the_other;
            rules::a_batch_meets_the_rules_of_one_version;
            audit::an_audit_reads_keys_records_and_debts_in_order;
            audit::an_audit_is_one_snapshot_while_a_writer_goes_on;
        }
    };
}

/// The time of day `n` microseconds into 2026.
fn moment(n: i64) -> Timestamp {
    let start = Timestamp::parse("2026-01-01T00:00:00Z").expect("this is RFC 3339");
    Timestamp::from_micros(start.as_micros() + n).expect("a few microseconds do not leave the year")
}

fn id(text: &str) -> RecordId {
    RecordId::new(text).expect("the case gives a valid id")
}

fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    Batch {
        arrivals: records.into_iter().map(Arrival::from).collect(),
        rules: Arc::default(),
        now: moment(0),
        owner: None,
        published: Vec::new(),
    }
}

fn batch_of(owner: &Owner, records: impl IntoIterator<Item = Record>) -> Batch {
    Batch { owner: Some(owner.clone()), ..batch(records) }
}

async fn commit(repository: &dyn Store, batch: Batch) -> Committed {
    let records = batch.arrivals.len();
    let committed = repository.commit(batch).await.expect("a good batch is committed");
    assert_eq!(committed.outcomes.len(), records, "one outcome for each record");
    committed
}

async fn commit_records(repository: &dyn Store, records: impl IntoIterator<Item = Record>) -> Vec<Outcome> {
    commit(repository, batch(records)).await.outcomes
}

#[track_caller]
fn processed(outcome: &Outcome) -> &Arc<StoredRecord> {
    match outcome {
        Outcome::Processed(stored) => stored,
        Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => {
            unreachable!("expected a processed record, got {outcome:?}")
        }
    }
}

fn rules<const N: usize>(drafts: [RuleDraft; N]) -> Arc<RuleBook> {
    let rules = drafts.map(|draft| Rule::new(draft).expect("the case gives a valid rule"));
    Arc::new(RuleSet::new(rules).expect("the case names each rule once").into())
}

fn rule(name: &str, threshold: &str) -> RuleDraft {
    RuleDraft { name: name.to_owned(), threshold: threshold.to_owned(), ..RuleDraft::default() }
}

/// All of a stored record as text: `==` takes 1.0 for 1.00, a store must not.
fn exact(stored: &StoredRecord) -> String {
    let json = serde_json::to_string(stored).expect("a stored record is always JSON");
    format!("{json} rules {} trace {:?}", rules_to_json(&stored.alerts), stored.traceparent)
}

fn exact_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Processed(stored) => exact(stored),
        Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => format!("{outcome:?}"),
    }
}
