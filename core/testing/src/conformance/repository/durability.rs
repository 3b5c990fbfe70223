//! Durability: committed data is there after the store is closed and opened again.

use std::sync::Arc;

use tallyhouse_core::ports::{Batch, ClaimScope, HistoryQuery, Owner};
use tallyhouse_core::{Arrival, ManagedRules, Outcome, Precondition, Rule, RuleDraft, RuleEdit};

use super::consistency::assert_consistent;
use super::outbox::{claim, store};
use super::{
    RepositoryFixture, SHORT_LEASE, batch, batch_of, commit, commit_records, exact, id, moment, processed, rule, rules,
};
use crate::conformance::{assert_distinct, not_checked};
use crate::doubles::generate::{Generator, record};

/// Records with their alerts and traces, and the running summaries of their keys, are as they were before. A record that
/// is sent again is a duplicate.
pub async fn records_and_summaries_are_durable<F: RepositoryFixture>() {
    let mut fixture = F::fresh().await;
    let records = Generator::new(71).over(8, 3).records("r", 300);
    let before = {
        let repository = fixture.handle().await;
        let rules = rules([rule("high", "5000")]);
        let trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
        for records in records.chunks(70) {
            let arrivals: Vec<Arrival> =
                records.iter().map(|record| Arrival { record: record.clone(), traceparent: trace.clone() }).collect();
            commit(&*repository, Batch { arrivals: arrivals.into(), rules: Arc::clone(&rules), ..batch([]) }).await;
        }
        assert_consistent(&*repository).await
    };
    if !reopen(&mut fixture).await {
        return;
    }
    let repository = fixture.handle().await;
    let after = assert_consistent(&*repository).await;
    assert_eq!(after.len(), before.len(), "how many records there are");
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(exact(after), exact(before));
    }
    for outcome in commit_records(&*repository, records).await {
        assert!(matches!(outcome, Outcome::Duplicate { .. }), "{outcome:?}");
    }
}

/// Entries that are not marked as published are still there, with their owners; those that were marked, or removed by a
/// commit, are still gone. A lease need not outlive the reopening, but one that has lapsed must not come back.
pub async fn outbox_entries_are_durable<F: RepositoryFixture>() {
    let mut fixture = F::fresh().await;
    let (me, other) = (Owner::new("me"), Owner::new("other"));
    let entries = {
        let repository = fixture.handle().await;
        for owner in [&me, &other] {
            repository.renew(owner, SHORT_LEASE).await.expect("a lease is renewed");
        }
        let mut entries = Vec::new();
        for (n, owner) in [Some(&me), Some(&me), Some(&other), None].into_iter().enumerate() {
            let batch = Batch { owner: owner.cloned(), ..batch([record(&n.to_string(), "D", "", "1", "EUR")]) };
            entries.push(commit(&*repository, batch).await.entry.expect("a record is stored"));
        }
        repository.mark_published(&me, &[entries[0].id]).await.expect("an entry is marked");
        let removed = store(&*repository, Some(&me), "removed", 1).await;
        let removing = Batch { published: vec![removed.id], owner: Some(me.clone()), ..batch([]) };
        commit(&*repository, removing).await;
        fixture.let_lapse(SHORT_LEASE).await;
        entries
    };
    if !reopen(&mut fixture).await {
        return;
    }
    let repository = fixture.handle().await;
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, entries[1..2]);
    assert_eq!(claim(&*repository, &other, ClaimScope::Own).await, entries[2..3]);
    let backlog = repository.backlog().await.expect("the backlog is read");
    assert_eq!((backlog.batches, backlog.records, backlog.oldest), (3, 3, Some(moment(0))));
    let heir = Owner::new("heir");
    let abandoned = claim(&*repository, &heir, ClaimScope::Abandoned).await;
    assert_eq!(abandoned, entries[1..]);
    assert_consistent(&*repository).await;
}

/// An entry that was claimed still belongs to its new owner.
pub async fn claims_are_durable<F: RepositoryFixture>() {
    let mut fixture = F::fresh().await;
    let me = Owner::new("me");
    let entry = {
        let repository = fixture.handle().await;
        let entry = store(&*repository, None, "a", 1).await;
        assert_eq!(claim(&*repository, &me, ClaimScope::Abandoned).await, [entry]);
        entry
    };
    if reopen(&mut fixture).await {
        assert_eq!(claim(&*fixture.handle().await, &me, ClaimScope::Own).await, [entry]);
    }
}

/// The managed rules are the same, with their conditions and version, also after a deletion, and the next commit meets them.
pub async fn managed_rules_are_durable<F: RepositoryFixture>() {
    let mut fixture = F::fresh().await;
    let before = {
        let rules = fixture.rules().await;
        for (name, threshold) in [("a", "5"), ("b", "10.50"), ("c", "1"), ("a", "7")] {
            rules.amend_rules(put(name, threshold)).await.expect("a change is made");
        }
        // A deletion is the last change, so that the version of the rules is higher than that of any one rule.
        rules.amend_rules(RuleEdit { rule: None, ..put("c", "1") }).await.expect("a rule is deleted");
        rules.managed_rules().await.expect("the rules are read")
    };
    if !reopen(&mut fixture).await {
        return;
    }
    let after = fixture.rules().await.managed_rules().await.expect("the rules are read");
    assert_eq!(after, before);
    let texts = |rules: &ManagedRules| rules.rules.iter().map(|rule| rule.rule.to_stored()).collect::<Vec<_>>();
    assert_eq!(texts(&after), texts(&before));
    let outcomes = commit_records(&*fixture.handle().await, [record("r", "D", "", "8", "EUR")]).await;
    assert_eq!(processed(&outcomes[0]).alert_names(), ["a"]);
}

/// Positions, sequences and the identities of outbox entries continue where they were. None is reused, not even the
/// identity of an entry that is gone.
pub async fn positions_and_sequences_continue_after_a_reopen<F: RepositoryFixture>() {
    let mut fixture = F::fresh().await;
    let me = Owner::new("me");
    let mut ids = Vec::new();
    for round in 1..=3_u64 {
        let repository = fixture.handle().await;
        let committed = commit(&*repository, batch_of(&me, [record(&round.to_string(), "D", "R", "1", "EUR")])).await;
        let entry = committed.entry.expect("a record is stored");
        assert_eq!((entry.first, entry.last), (round, round));
        assert_eq!(processed(&committed.outcomes[0]).processed.sequence, round);
        ids.push(entry.id);
        repository.mark_published(&me, &[entry.id]).await.expect("an entry is marked");
        drop(repository);
        if !reopen(&mut fixture).await {
            return;
        }
    }
    assert_distinct(ids);
    let repository = fixture.handle().await;
    assert_eq!(repository.head().await.expect("the head is read"), 3);
    let query = HistoryQuery { after: 2, alerting_only: false, limit: 10 };
    let page = repository.history(query).await.expect("the history is read");
    assert_eq!(
        page.iter().map(|(at, stored)| (*at, &stored.processed.record.record_id)).collect::<Vec<_>>(),
        [(3, &id("3"))]
    );
    assert_consistent(&*repository).await;
}

/// Reopens the store, and prints that nothing is checked where that can't be done.
async fn reopen<F: RepositoryFixture>(fixture: &mut F) -> bool {
    let reopened = fixture.reopen().await;
    if !reopened {
        not_checked::<F>("durability; the fixture can't reopen its store");
    }
    reopened
}

/// An edit that puts a rule with a condition.
fn put(name: &str, threshold: &str) -> RuleEdit {
    let draft = RuleDraft { unit: Some("EUR".to_owned()), ..rule(name, threshold) };
    let rule = Rule::new(draft).expect("the case gives a valid rule");
    RuleEdit { name: name.to_owned(), rule: Some(Arc::new(rule)), precondition: Precondition::Any, now: moment(7) }
}
