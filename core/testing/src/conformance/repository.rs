//! The conformance suite of the repository ports: cases that every store must pass, run unchanged against each.
//!
//! An adapter implements [`RepositoryFixture`] and calls [`repository_conformance!`](crate::repository_conformance) in
//! a test module; each case becomes a test of its own. Its crate needs tokio's `macros`, `rt-multi-thread` and `time`
//! among its dev-dependencies.
//!
//! # What the suite can't check
//!
//! - That a commit outlives the process, where [`RepositoryFixture::reopen`] returns `false`. The cases of
//!   [`durability`] then print that they have checked nothing.
//! - That a commit outlives a power failure, or a crash of a database server that the store runs in. This is a matter of
//!   the store's own settings, e.g. `fsync`.
//! - That ordered commits keep their order, where the store has no
//!   [`pipelined`](tallyhouse_core::ports::RecordRepository::pipelined) part. Those cases of [`commit_order`] then print
//!   that they have checked nothing.
//! - That memory stays bounded while a large answer is streamed, and that reading stops soon after the stream is
//!   dropped. The suite only checks that the store stays usable.
//! - That an answer is of one snapshot, or that two commits exclude each other, in every interleaving: the cases run calls
//!   on two threads at once, and may miss a rare interleaving.
//! - That a lease which ends further ahead than twice its length counts as lapsed: the suite can't set the store's clock.
//! - That a failed commit leaves nothing behind: the suite can't make a store fail. It cancels commits instead.

pub mod commits;
pub mod sums;
pub mod races;
pub mod commit_order;
pub mod durability;
pub mod queries;
pub mod groups;
pub mod outbox;
pub mod ownership;
pub mod rules;
pub mod audit;
pub mod snapshots;
mod consistency;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tallyhouse_core::ports::{Batch, Committed, Owner, PortError, RuleRepository, Store};
use tallyhouse_core::{
    Arrival, Outcome, Record, RecordId, Rule, RuleBook, RuleDraft, RuleSet, StoredRecord, Timestamp, rules_to_json,
};
use tokio::task::JoinSet;

use crate::doubles::fault_injection::{Call, Gate, Gated};

/// A store of its own for one case, with as many handles as the case wants.
///
/// The store implements all four ports: [`Store`] is three of them, and the suite needs [`RuleRepository`] as well, though
/// three of the four are optional for a host.
///
/// ```
/// # use tallyhouse_testing::MemoryRepository as MyRepository;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use tallyhouse_core::ports::{RuleRepository, Store};
/// use tallyhouse_testing::{RepositoryFixture, TestClock};
///
/// struct MyFixture {
///     clock: Arc<TestClock>,
///     repository: Arc<MyRepository>,
/// }
///
/// #[async_trait]
/// impl RepositoryFixture for MyFixture {
///     async fn fresh() -> Self {
///         let clock = Arc::new(TestClock::default());
///         Self { repository: Arc::new(MyRepository::new(Arc::clone(&clock) as _)), clock }
///     }
///
///     async fn handle(&self) -> Arc<dyn Store> {
///         Arc::clone(&self.repository) as _
///     }
///
///     async fn rules(&self) -> Arc<dyn RuleRepository> {
///         Arc::clone(&self.repository) as _
///     }
///
///     async fn let_lapse(&self, lease: Duration) {
///         self.clock.advance(lease); // With a server's clock: sleep for the lease.
///     }
/// }
///
/// tallyhouse_testing::repository_conformance!(MyFixture);
/// # fn main() {}
/// ```
#[async_trait]
pub trait RepositoryFixture: Send + Sync + Sized {
    /// Makes a new, empty store that shares nothing with any other. Dropping the fixture removes the store.
    async fn fresh() -> Self;

    /// Returns a new handle on the store, as another running instance would have it. Where only one process can have the
    /// store, a handle is a clone of the one before.
    async fn handle(&self) -> Arc<dyn Store>;

    /// Returns a new handle on the managed rules of this store.
    async fn rules(&self) -> Arc<dyn RuleRepository>;

    /// Returns once a lease of this length that was renewed before the call has lapsed, by the store's clock. The suite
    /// calls it for leases of [`SHORT_LEASE`] only.
    async fn let_lapse(&self, lease: Duration);

    /// Closes the store and opens it again, as after the end of the process: only its durable state may be left. The
    /// case has dropped every handle before. Returns whether the store was reopened.
    ///
    /// By default the store can't be reopened, e.g. since it lives in memory; durability is then not checked. Where the
    /// store is a server of its own, new handles with new connections are enough.
    async fn reopen(&mut self) -> bool {
        false
    }

    /// Runs the background work of the store now, e.g. rolls up its records. By default there is nothing to run.
    async fn run_background_work(&self) {}
}

/// The lease that a case lets lapse: short, because a store may judge leases by its own clock, which no test can move on.
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
            commits::an_empty_store_has_empty_answers;
            commits::a_record_is_found_exactly_as_it_came;
            commits::a_duplicate_changes_nothing;
            commits::a_conflict_names_the_fields_and_changes_nothing;
            commits::records_inside_a_batch_are_judged_as_against_the_store;
            commits::sequences_and_previous_summaries_continue_across_batches;
            commits::a_batch_of_n_does_what_n_batches_of_one_do;
            commits::a_key_of_refused_records_only_has_no_summary;
            commits::rules_and_traces_are_stored_as_they_were;
            commits::ten_thousand_records_are_one_commit;
            commits::an_empty_batch_stores_nothing;
            commits::a_batch_over_thousands_of_known_keys_continues_each;
            commits::ids_are_compared_by_bytes_with_stored_ones;
            commits::the_time_of_processing_is_kept_to_the_microsecond;
            sums::sums_stay_exact_far_beyond_one_value;
            sums::a_sum_keeps_the_largest_scale;
            sums::the_unit_beyond_the_limit_is_rejected;
            races::one_hot_key_counts_every_record_of_all_writers;
            races::the_same_records_in_opposite_orders_have_one_effect_each;
            races::one_id_raced_under_two_keys_has_one_effect;
            races::history_shows_every_position_in_order_while_others_commit;
            races::a_cancelled_commit_is_whole_or_nothing;
            races::a_batch_sent_by_all_at_once_is_processed_once;
            commit_order::senders_keep_their_order_with_two_chunks_in_flight;
            commit_order::a_batch_whose_predecessor_has_not_started_is_not_committed;
            commit_order::a_successor_is_committed_after_its_predecessor;
            commit_order::a_successor_of_a_cancelled_commit_is_not_committed_without_it;
            commit_order::a_start_revoked_while_its_successor_asks_is_noticed;
            durability::records_and_summaries_are_durable;
            durability::outbox_entries_are_durable;
            durability::claims_are_durable;
            durability::managed_rules_are_durable;
            durability::positions_and_sequences_continue_after_a_reopen;
            queries::records_are_found_together_in_the_order_asked_for;
            queries::records_page_by_time_then_id;
            queries::every_filter_finds_what_a_full_scan_finds;
            queries::filters_compare_texts_by_bytes;
            queries::records_are_selected_by_the_rules_that_they_met;
            queries::start_is_inclusive_and_end_is_exclusive;
            queries::summaries_page_by_reference;
            queries::history_pages_by_position;
            queries::pages_of_large_records_end_early_and_go_on_without_a_gap;
            groups::groups_come_by_destination_in_byte_order;
            groups::totals_are_those_of_the_records_listed;
            groups::totals_are_exact_however_much_is_rolled_up;
            groups::groups_page_by_destination;
            groups::pages_of_heavy_totals_have_as_many_groups_as_asked_for;
            groups::an_answer_is_one_snapshot_while_a_writer_goes_on;
            groups::dropping_an_answer_early_leaves_the_store_usable;
            outbox::a_commit_adds_an_entry_for_its_owner;
            outbox::an_entry_has_the_time_of_its_records;
            outbox::a_batch_without_new_records_adds_no_entry;
            outbox::an_entry_without_an_owner_goes_to_the_first_claim;
            outbox::claims_take_the_oldest_first_up_to_the_limit;
            outbox::entries_of_a_live_lease_are_not_abandoned;
            outbox::entries_of_a_lapsed_lease_go_to_one_claimant;
            outbox::every_abandoned_entry_is_claimed_once;
            outbox::entries_of_another_emitter_are_left_alone;
            outbox::only_its_owner_marks_an_entry_as_published;
            outbox::a_commit_removes_the_published_entries_of_its_owner;
            outbox::a_lease_of_zero_ends_the_lease;
            outbox::the_backlog_counts_entries_and_records;
            ownership::every_entry_has_a_nonce_of_its_own_also_in_another_store;
            ownership::an_id_with_another_nonce_marks_nothing;
            ownership::a_mark_leaves_earlier_entries;
            ownership::an_owner_without_a_lease_has_no_abandoned_entries;
            ownership::a_shorter_renewal_shortens_the_lease;
            ownership::the_end_of_a_lease_leaves_entries_to_their_owner;
            rules::a_new_store_has_no_managed_rules;
            rules::a_managed_rule_is_stored_as_it_was_given;
            rules::a_change_is_in_force_for_every_commit_after_it;
            rules::concurrent_changes_are_serialized;
            rules::a_batch_meets_the_rules_of_one_version;
            audit::an_audit_reads_keys_records_and_outbox_in_order;
            audit::an_audit_is_one_snapshot_while_a_writer_goes_on;
            snapshots::every_answer_is_one_snapshot_while_others_commit;
        }
    };
}

/// Runs each call in a task of its own, so that the calls of one case run on several threads. Within one task, a call of a
/// store without an await point would run alone.
#[derive(Debug)]
struct OwnTask;

#[async_trait]
impl Gate for OwnTask {
    async fn pass<T: Send + 'static>(
        &self,
        _: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let mut task = JoinSet::new();
        task.spawn(work);
        task.join_next().await.expect("there is one task").expect("a call does not panic")
    }
}

/// Returns a handle whose calls run beside those of other handles, each on any thread.
async fn parallel_handle<F: RepositoryFixture>(fixture: &F) -> Arc<dyn Store> {
    Arc::new(Gated { inner: fixture.handle().await, gate: OwnTask })
}

/// Returns the time of day `n` microseconds into 2026.
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

/// Writes all of a stored record as text: `==` equates 1.0 and 1.00, and a store must not.
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
