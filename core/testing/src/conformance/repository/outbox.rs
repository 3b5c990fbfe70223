//! The outbox: entries, owners, leases, claims and marks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_core::StoredRecord;
use tallyhouse_core::ports::{Backlog, Batch, ClaimScope, HistoryQuery, OutboxEntry, OutboxId, Owner, Store};

use futures::future::{join, join_all};

use super::consistency::assert_consistent;
use super::{LONG_LEASE, RepositoryFixture, SHORT_LEASE, batch, batch_of, commit, commit_records, moment};
use crate::conformance::assert_distinct;
use crate::conformance::yield_now;
use crate::doubles::generate::{Generator, record};

/// A commit adds an entry for the records that it stores. The entry belongs to the owner of the batch until its messages
/// are published.
pub async fn a_commit_adds_an_entry_for_its_owner<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let (me, other) = (Owner::new("me"), Owner::new("other"));
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let first = store(&*repository, Some(&me), "a", 3).await;
    let second = store(&*repository, Some(&me), "b", 2).await;
    assert_eq!((first.first, first.last, second.first, second.last), (1, 3, 4, 5));
    assert_ne!(first.id, second.id);
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [first, second]);
    assert_eq!(claim(&*repository, &other, ClaimScope::Own).await, []);
    assert_eq!(claim(&*repository, &other, ClaimScope::Abandoned).await, []);
    mark_published(&*repository, &me, &[first.id]).await;
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [second]);
    // Marking an entry again, or one that never existed, does no harm.
    mark_published(&*repository, &me, &[first.id, OutboxId::new(u64::MAX, 0), second.id]).await;
    mark_published(&*repository, &me, &[]).await;
    assert_eq!(backlog(&*repository).await, Backlog::default());
    assert_consistent(&*repository).await;
}

/// An entry has the time of processing of its records, to the microsecond, and of no other ones.
pub async fn an_entry_has_the_time_of_its_records<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me, other) = (fixture.handle().await, Owner::new("me"), Owner::new("other"));
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let mut entries = Vec::new();
    for n in [1_234_567, 1_234_568, 0] {
        let records = (0..3).map(|i| record(&format!("{n}-{i}"), "D", "", "1", "EUR"));
        let batch = Batch { now: moment(n), ..batch_of(&me, records) };
        let entry = commit(&*repository, batch).await.entry.expect("records are stored");
        assert_eq!(entry.processed_at, moment(n));
        entries.push(entry);
    }
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, entries);
    for (position, stored) in history(&*repository).await {
        for entry in &entries {
            assert_eq!(entry.has(&stored), (entry.first..=entry.last).contains(&position), "{entry:?} at {position}");
        }
    }
    repository.renew(&me, Duration::ZERO).await.expect("a lease is ended");
    assert_eq!(claim(&*repository, &other, ClaimScope::Abandoned).await, entries);
}

/// A batch that stores nothing adds no entry.
pub async fn a_batch_without_new_records_adds_no_entry<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let me = Owner::new("me");
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let mixed = [record("r", "D", "", "1", "EUR"), record("r", "D", "", "1", "EUR"), record("r", "D", "", "2", "EUR")];
    let committed = commit(&*repository, batch_of(&me, mixed.clone())).await;
    assert_eq!(committed.entry.map(|entry| (entry.first, entry.last)), Some((1, 1)));
    let committed = commit(&*repository, batch_of(&me, mixed)).await;
    assert_eq!(committed.entry, None);
    assert_eq!(backlog(&*repository).await, Backlog { batches: 1, records: 1, oldest: Some(moment(0)) });
}

/// An entry without an owner goes to the first owner that claims it, and is then its own.
pub async fn an_entry_without_an_owner_goes_to_the_first_claim<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, elsewhere) = (fixture.handle().await, fixture.handle().await);
    let (first, second) = (Owner::new("first"), Owner::new("second"));
    for owner in [&first, &second] {
        repository.renew(owner, LONG_LEASE).await.expect("a lease is renewed");
    }
    let batches = [store(&*repository, None, "a", 1).await, store(&*repository, None, "b", 2).await];
    assert_eq!(claim(&*elsewhere, &first, ClaimScope::Own).await, []);
    assert_eq!(claim(&*elsewhere, &first, ClaimScope::Abandoned).await, batches);
    assert_eq!(claim(&*repository, &second, ClaimScope::Abandoned).await, []);
    assert_eq!(claim(&*elsewhere, &first, ClaimScope::Abandoned).await, [], "they are the owner's own now");
    assert_eq!(claim(&*elsewhere, &first, ClaimScope::Own).await, batches);
    mark_published(&*elsewhere, &first, &batches.map(|batch| batch.id)).await;
    assert_eq!(backlog(&*repository).await, Backlog::default());
}

/// A claim returns the oldest entries first, and no more than asked for.
pub async fn claims_take_the_oldest_first_up_to_the_limit<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let me = Owner::new("me");
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let mut batches = Vec::new();
    for i in 0..5 {
        batches.push(store(&*repository, None, &format!("batch-{i}"), 1 + i).await);
    }
    assert_eq!(repository.claim(&me, ClaimScope::Abandoned, 2).await.expect("a claim is answered"), batches[..2]);
    assert_eq!(repository.claim(&me, ClaimScope::Abandoned, 2).await.expect("a claim is answered"), batches[2..4]);
    assert_eq!(repository.claim(&me, ClaimScope::Own, 3).await.expect("a claim is answered"), batches[..3]);
    assert_eq!(repository.claim(&me, ClaimScope::Abandoned, 2).await.expect("a claim is answered"), batches[4..]);
    assert_eq!(repository.claim(&me, ClaimScope::Own, 100).await.expect("a claim is answered"), batches);
}

/// An owner that renews its lease keeps its entries, however short the lease was before.
pub async fn entries_of_a_live_lease_are_not_abandoned<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, elsewhere) = (fixture.handle().await, fixture.handle().await);
    let (slow, other) = (Owner::new("slow"), Owner::new("other"));
    repository.renew(&slow, SHORT_LEASE).await.expect("a lease is renewed");
    let batch = store(&*repository, Some(&slow), "a", 1).await;
    repository.renew(&slow, LONG_LEASE).await.expect("a lease is renewed");
    fixture.let_lapse(SHORT_LEASE).await;
    assert_eq!(claim(&*elsewhere, &other, ClaimScope::Abandoned).await, []);
    assert_eq!(claim(&*repository, &slow, ClaimScope::Own).await, [batch]);
}

/// Two owners claim the entries of a dead one at once: each entry goes to one of them.
pub async fn entries_of_a_lapsed_lease_go_to_one_claimant<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, elsewhere) = (fixture.handle().await, fixture.handle().await);
    let (dead, one, two) = (Owner::new("dead"), Owner::new("one"), Owner::new("two"));
    for owner in [&one, &two] {
        repository.renew(owner, LONG_LEASE).await.expect("a lease is renewed");
    }
    for round in 0..5 {
        repository.renew(&dead, SHORT_LEASE).await.expect("a lease is renewed");
        let mut expected = BTreeSet::new();
        for i in 0..6 {
            expected.insert(store(&*repository, Some(&dead), &format!("{round}-{i}"), 2).await.id);
        }
        fixture.let_lapse(SHORT_LEASE).await;
        let claims =
            join(claim(&*repository, &one, ClaimScope::Abandoned), claim(&*elsewhere, &two, ClaimScope::Abandoned));
        let (by_one, by_two) = claims.await;
        let claimed: Vec<OutboxId> = by_one.iter().chain(&by_two).map(|batch| batch.id).collect();
        assert_distinct(claimed.clone());
        // One claim may have skipped entries that the other had locked; one more claim must find the rest.
        let rest = claim(&*repository, &one, ClaimScope::Abandoned).await;
        assert_distinct(claimed.iter().copied().chain(rest.iter().map(|batch| batch.id)));
        let all: BTreeSet<OutboxId> = claimed.into_iter().chain(rest.iter().map(|batch| batch.id)).collect();
        assert_eq!(all, expected);
        for (owner, batches) in [(&one, [by_one, rest].concat()), (&two, by_two)] {
            mark_published(&*elsewhere, owner, &batches.iter().map(|batch| batch.id).collect::<Vec<_>>()).await;
        }
        assert_eq!(backlog(&*repository).await, Backlog::default());
    }
}

/// An entry stays with the emitter of its commit: an instance that publishes elsewhere sees it, and leaves it alone. An
/// entry without an emitter goes to any.
pub async fn entries_of_another_emitter_are_left_alone<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, elsewhere) = (fixture.handle().await, fixture.handle().await);
    let owner = |name: &str, emitter: Option<&str>| Owner::new(name).with_emitter(emitter);
    let dead = owner("dead", Some("here"));
    let (heir, stranger, nameless) =
        (owner("heir", Some("here")), owner("stranger", Some("there")), Owner::new("nameless"));
    for living in [&heir, &stranger, &nameless] {
        repository.renew(living, LONG_LEASE).await.expect("a lease is renewed");
    }
    repository.renew(&dead, LONG_LEASE).await.expect("a lease is renewed");
    let entry = store(&*repository, Some(&dead), "a", 2).await;
    assert_eq!(claim(&*elsewhere, &stranger, ClaimScope::Foreign).await, [], "its owner is alive");
    repository.renew(&dead, Duration::ZERO).await.expect("a lease is ended");
    let imported = store(&*repository, None, "b", 1).await;
    for other in [&stranger, &nameless] {
        assert_eq!(claim(&*elsewhere, other, ClaimScope::Foreign).await, [entry]);
    }
    assert_eq!(claim(&*elsewhere, &stranger, ClaimScope::Abandoned).await, [imported]);
    assert_eq!(claim(&*elsewhere, &nameless, ClaimScope::Abandoned).await, []);
    mark_published(&*elsewhere, &stranger, &[entry.id, imported.id]).await;
    assert_eq!(
        (backlog(&*repository).await.records, claim(&*elsewhere, &heir, ClaimScope::Foreign).await),
        (2, vec![])
    );
    assert_eq!(claim(&*elsewhere, &heir, ClaimScope::Abandoned).await, [entry]);
    assert_eq!(claim(&*elsewhere, &stranger, ClaimScope::Foreign).await, [], "it has a living owner again");
    // It stays with its emitter also after it was claimed.
    repository.renew(&heir, Duration::ZERO).await.expect("a lease is ended");
    assert_eq!(claim(&*repository, &stranger, ClaimScope::Abandoned).await, []);
    assert_eq!(claim(&*repository, &stranger, ClaimScope::Foreign).await, [entry]);
    mark_published(&*repository, &heir, &[entry.id]).await;
    assert_eq!(backlog(&*repository).await, Backlog::default());
}

/// Many owners claim on two handles while writers go on: every entry is claimed once.
pub async fn every_abandoned_entry_is_claimed_once<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = [fixture.handle().await, fixture.handle().await];
    for i in 0..40 {
        store(&*handles[0], None, &format!("before-{i}"), 1).await;
    }
    let claimant = async |i: usize| {
        let (repository, owner) = (&handles[i % 2], Owner::new(&format!("claimant-{i}")));
        repository.renew(&owner, LONG_LEASE).await.expect("a lease is renewed");
        let mut mine = Vec::new();
        let mut idle = 0;
        while idle < 5 {
            let batches = repository.claim(&owner, ClaimScope::Abandoned, 3).await.expect("a claim is answered");
            idle = if batches.is_empty() { idle + 1 } else { 0 };
            mine.extend(batches.into_iter().map(|batch| batch.id));
            assert!(mine.len() <= 60, "no entry is claimed without end");
            yield_now().await;
        }
        mine
    };
    let writer = async {
        for i in 0..20 {
            store(&*handles[1], None, &format!("during-{i}"), 1).await;
            yield_now().await;
        }
    };
    let (claimed, ()) = join(join_all((0..4).map(claimant)), writer).await;
    let mut claimed: Vec<OutboxId> = claimed.into_iter().flatten().collect();
    claimed.extend(claim(&*handles[0], &Owner::new("last"), ClaimScope::Abandoned).await.iter().map(|batch| batch.id));
    assert_eq!(claimed.len(), 60);
    assert_distinct(claimed);
}

/// An entry is marked as published by its owner only: not by another owner, and not by the owner that lost it, neither
/// directly nor with its next commit.
pub async fn only_its_owner_marks_an_entry_as_published<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, elsewhere) = (fixture.handle().await, fixture.handle().await);
    let (late, heir) = (Owner::new("late"), Owner::new("heir"));
    repository.renew(&heir, LONG_LEASE).await.expect("a lease is renewed");
    repository.renew(&late, SHORT_LEASE).await.expect("a lease is renewed");
    let batch = store(&*repository, Some(&late), "a", 2).await;
    mark_published(&*elsewhere, &heir, &[batch.id]).await;
    assert_eq!(backlog(&*repository).await.batches, 1, "another owner marks nothing");
    fixture.let_lapse(SHORT_LEASE).await;
    assert_eq!(claim(&*elsewhere, &heir, ClaimScope::Abandoned).await, [batch]);

    repository.renew(&late, LONG_LEASE).await.expect("a lease is renewed");
    mark_published(&*repository, &late, &[batch.id]).await;
    let next = Batch { published: vec![batch.id], ..batch_of(&late, [record("b", "D", "", "1", "EUR")]) };
    let next = commit(&*repository, next).await.entry.expect("records are stored");
    let nobody = Batch { published: vec![batch.id], ..super::batch([record("c", "D", "", "1", "EUR")]) };
    commit(&*repository, nobody).await;
    assert_eq!(claim(&*repository, &late, ClaimScope::Own).await, [next]);
    assert_eq!(claim(&*elsewhere, &heir, ClaimScope::Own).await, [batch]);
    mark_published(&*elsewhere, &heir, &[batch.id]).await;
    assert_eq!(claim(&*elsewhere, &heir, ClaimScope::Own).await, []);
}

/// The next commit of an owner removes its published entries, also a commit that stores nothing.
pub async fn a_commit_removes_the_published_entries_of_its_owner<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let me = Owner::new("me");
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let first = store(&*repository, Some(&me), "a", 2).await;
    let second = store(&*repository, Some(&me), "b", 2).await;
    let next = Batch { published: vec![first.id], ..batch_of(&me, [record("c", "D", "", "1", "EUR")]) };
    let third = commit(&*repository, next).await.entry.expect("records are stored");
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [second, third]);
    let repetition = Batch { published: vec![second.id], ..batch_of(&me, [record("c", "D", "", "1", "EUR")]) };
    assert_eq!(commit(&*repository, repetition).await.entry, None);
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [third]);
    let nothing = Batch { published: vec![third.id], ..batch_of(&me, []) };
    assert_eq!(commit(&*repository, nothing).await.entry, None);
    assert_eq!(backlog(&*repository).await, Backlog::default());
    assert_eq!(assert_consistent(&*repository).await.len(), 5, "only the entries are removed");
}

/// An owner that ends its lease leaves its entries to others at once.
pub async fn a_lease_of_zero_ends_the_lease<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let (leaving, other) = (Owner::new("leaving"), Owner::new("other"));
    for owner in [&leaving, &other] {
        repository.renew(owner, LONG_LEASE).await.expect("a lease is renewed");
    }
    let batch = store(&*repository, Some(&leaving), "a", 1).await;
    assert_eq!(claim(&*repository, &other, ClaimScope::Abandoned).await, []);
    repository.renew(&leaving, Duration::ZERO).await.expect("a lease is ended");
    // Ending a lease again, or one that never existed, does no harm.
    repository.renew(&leaving, Duration::ZERO).await.expect("a lease is ended");
    repository.renew(&Owner::new("stranger"), Duration::ZERO).await.expect("a lease is ended");
    assert_eq!(claim(&*repository, &other, ClaimScope::Abandoned).await, [batch]);
    assert_eq!(claim(&*repository, &leaving, ClaimScope::Own).await, []);
}

/// The backlog counts the entries that are there, and says how old the oldest is.
pub async fn the_backlog_counts_entries_and_records<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let (me, other) = (Owner::new("me"), Owner::new("other"));
    let mut generator = Generator::new(53);
    let mut ids = Vec::new();
    for (i, owner) in [Some(&me), None, Some(&other), Some(&me)].into_iter().enumerate() {
        let records = generator.records(&format!("batch-{i}"), 10 * (i + 1));
        let now = moment(1_000_000 * i64::try_from(i).expect("a small number"));
        let batch = Batch { now, owner: owner.cloned(), ..batch(records) };
        ids.push(commit(&*repository, batch).await.entry.expect("records are stored").id);
    }
    assert_eq!(backlog(&*repository).await, Backlog { batches: 4, records: 100, oldest: Some(moment(0)) });
    mark_published(&*repository, &me, &[ids[0]]).await;
    assert_eq!(backlog(&*repository).await, Backlog { batches: 3, records: 90, oldest: Some(moment(1_000_000)) });
    mark_published(&*repository, &me, &[ids[3]]).await;
    assert_eq!(backlog(&*repository).await, Backlog { batches: 2, records: 50, oldest: Some(moment(1_000_000)) });
    // Published records are not counted, and a later commit works as before.
    commit_records(&*repository, [record("batch-0-0", "D", "", "1", "EUR")]).await;
    assert_eq!(backlog(&*repository).await.batches, 2);
}

/// Commits `n` new records, and returns their entry.
pub(super) async fn store(repository: &dyn Store, owner: Option<&Owner>, prefix: &str, n: usize) -> OutboxEntry {
    let records = (0..n).map(|i| record(&format!("{prefix}-{i}"), "D", "", "1", "EUR"));
    let batch = Batch { owner: owner.cloned(), ..batch(records) };
    commit(repository, batch).await.entry.expect("records are stored")
}

pub(super) async fn claim(repository: &dyn Store, owner: &Owner, scope: ClaimScope) -> Vec<OutboxEntry> {
    repository.claim(owner, scope, 100).await.expect("a claim is answered")
}

pub(super) async fn mark_published(repository: &dyn Store, owner: &Owner, published: &[OutboxId]) {
    repository.mark_published(owner, published).await.expect("entries are marked");
}

async fn history(repository: &dyn Store) -> Vec<(u64, Arc<StoredRecord>)> {
    let all = HistoryQuery { after: 0, alerting_only: false, limit: 100 };
    repository.history(all).await.expect("the history is read")
}

async fn backlog(repository: &dyn Store) -> Backlog {
    repository.backlog().await.expect("the backlog is read")
}
