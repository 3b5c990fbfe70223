//! Managed rules: stored, changed one at a time, and in force from their change on.

use std::sync::Arc;
use tallyhouse_core::ports::{Batch, RuleRepository, Store};
use tallyhouse_core::{ManagedRule, ManagedRules, Precondition, Rule, RuleBook, RuleDraft, RuleEdit, RuleEditOutcome};

use futures::future::join_all;

use super::{RepositoryFixture, batch, commit, moment, processed, rule, rules};
use crate::doubles::generate::record;

fn edit(draft: RuleDraft) -> RuleEdit {
    let rule = Rule::new(draft).expect("the case gives a valid rule");
    RuleEdit {
        name: rule.name().to_owned(),
        rule: Some(Arc::new(rule)),
        precondition: Precondition::Any,
        now: moment(7),
    }
}

fn put(name: &str, threshold: &str) -> RuleEdit {
    edit(rule(name, threshold))
}

fn delete(name: &str) -> RuleEdit {
    RuleEdit { rule: None, ..put(name, "0") }
}

async fn amend(store: &dyn RuleRepository, edit: RuleEdit) -> RuleEditOutcome {
    store.amend_rules(edit).await.expect("a change is made")
}

async fn managed(store: &dyn RuleRepository) -> ManagedRules {
    store.managed_rules().await.expect("the rules are read")
}

fn shown(rules: &[ManagedRule]) -> Vec<String> {
    rules.iter().map(|managed| managed.rule.to_stored()).collect()
}

/// Commits one record, and returns the names of the rules that it met.
async fn met(store: &dyn Store, book: &Arc<RuleBook>, id: &str, value: &str) -> Vec<String> {
    let batch = Batch { rules: Arc::clone(book), ..batch([record(id, "D", "R", value, "EUR")]) };
    let committed = commit(store, batch).await;
    processed(&committed.outcomes[0]).alert_names().into_iter().map(str::to_owned).collect()
}

/// Before the first change there are no rules, of version 0.
pub async fn a_new_store_has_no_managed_rules<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    assert_eq!(managed(&*fixture.rules().await).await, ManagedRules::default());
    assert_eq!(amend(&*fixture.rules().await, delete("a")).await, RuleEditOutcome::Missing);
    assert_eq!(managed(&*fixture.rules().await).await, ManagedRules::default());
}

/// A rule comes back unchanged, sorted by name, with its version and the time of its change.
pub async fn a_managed_rule_is_stored_as_it_was_given<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (store, other) = (fixture.rules().await, fixture.rules().await);
    let everything = RuleDraft {
        unit: Some("it's \"EUR\" \\".to_owned()),
        record_type: Some("negative".to_owned()),
        destination_id: Some("D\u{1f600}%_".to_owned()),
        source_id: Some("'; --".to_owned()),
        reference: Some(String::new()),
        ..rule("b", "12.500")
    };
    let total = RuleDraft { on: Some("total".to_owned()), ..rule("a", "9999999999999999999999999999") };
    let RuleEditOutcome::Created(b) = amend(&*store, edit(everything.clone())).await else { unreachable!("b is new") };
    let RuleEditOutcome::Created(a) = amend(&*store, edit(total)).await else { unreachable!("a is new") };
    assert!(a.version > b.version && b.version > 0, "{a:?} {b:?}");
    assert_eq!(a.changed_at, moment(7));
    let found = managed(&*other).await;
    assert_eq!((found.version, &found.rules), (a.version, &vec![a.clone(), b.clone()]));
    assert_eq!(shown(&found.rules), shown(&[a, b.clone()]));

    assert_eq!(amend(&*other, edit(everything.clone())).await, RuleEditOutcome::Unchanged(b.clone()));
    let replaced = amend(&*other, edit(RuleDraft { threshold: "12.5".to_owned(), ..everything })).await;
    assert!(matches!(replaced, RuleEditOutcome::Replaced(new) if new.version > found.version));
    assert!(matches!(amend(&*store, delete("a")).await, RuleEditOutcome::Deleted(version) if version > found.version));
    let left = managed(&*store).await;
    assert_eq!(left.rules.iter().map(|managed| managed.rule.name()).collect::<Vec<_>>(), ["b"]);
    assert!(left.rules[0].version < left.version && left.rules[0].rule.to_stored().contains("\"12.5\""));
}

/// Every instance has its own rules, and each commit sees the changes before it.
pub async fn a_change_is_in_force_for_every_commit_after_it<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (first, second, store) = (fixture.handle().await, fixture.handle().await, fixture.rules().await);
    let (own, none) = (rules([rule("own", "10")]), rules([]));
    assert_eq!(met(&*first, &own, "r-1", "11").await, ["own"]);
    amend(&*store, put("own", "20")).await;
    amend(&*store, put("managed", "5")).await;
    assert_eq!(met(&*first, &own, "r-2", "11").await, ["managed"]);
    assert_eq!(met(&*second, &none, "r-3", "21").await, ["managed", "own"]);
    amend(&*store, put("managed", "100")).await;
    assert_eq!(met(&*second, &none, "r-4", "21").await, ["own"]);
    amend(&*store, delete("own")).await;
    assert_eq!(met(&*second, &none, "r-5", "21").await, Vec::<String>::new());
    assert_eq!(met(&*first, &own, "r-6", "11").await, ["own"], "the host's own rule is back");
}

/// No change is lost, no two have the same version, and of those that expect the same version one wins.
pub async fn concurrent_changes_are_serialized<F: RepositoryFixture>() {
    const CALLERS: usize = 6;
    let fixture = F::fresh().await;
    let stores = join_all((0..CALLERS).map(|_| fixture.rules())).await;
    let names: Vec<String> = (0..CALLERS).map(|n| format!("rule-{n}")).collect();
    let created = join_all(stores.iter().zip(&names).map(|(store, name)| amend(&**store, put(name, "1")))).await;
    let versions = created.iter().map(|edited| match edited {
        RuleEditOutcome::Created(managed) => managed.version,
        _ => unreachable!("each is new: {edited:?}"),
    });
    crate::conformance::assert_distinct(versions);
    let all = managed(&*stores[0]).await;
    assert_eq!(all.rules.iter().map(|managed| managed.rule.name()).collect::<Vec<_>>(), names);

    let seen = Precondition::Version(vec![all.rules[0].version]);
    let contenders = stores.iter().zip(2..).map(|(store, threshold)| {
        amend(&**store, RuleEdit { precondition: seen.clone(), ..put("rule-0", &format!("{threshold}")) })
    });
    let edited = join_all(contenders).await;
    let won = edited.iter().filter(|edited| matches!(edited, RuleEditOutcome::Replaced(_))).count();
    let lost = edited.iter().filter(|edited| matches!(edited, RuleEditOutcome::PreconditionFailed)).count();
    assert_eq!((won, lost), (1, CALLERS - 1));
}

/// While rules change, each batch has those of one version, and the versions never go back.
pub async fn a_batch_meets_the_rules_of_one_version<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (records, store) = (fixture.handle().await, fixture.rules().await);
    let changing = async {
        for n in 0..20 {
            amend(&*store, put(&format!("rule-{n:02}"), "1")).await;
        }
    };
    let book = rules([]);
    let committing = async {
        let mut before = 0;
        for n in 0..20 {
            let same = (0..5).map(|i| record(&format!("r-{n}-{i}"), &format!("D{i}"), "", "2", "EUR"));
            let committed = commit(&*records, Batch { rules: Arc::clone(&book), ..batch(same) }).await;
            let met: Vec<Vec<&str>> =
                committed.outcomes.iter().map(|outcome| processed(outcome).alert_names()).collect();
            assert!(met.iter().all(|names| *names == met[0]), "one batch: {met:?}");
            assert!(met[0].len() >= before, "no rule that was in force is missing: {met:?}");
            before = met[0].len();
        }
    };
    futures::join!(changing, committing);
    assert_eq!(met(&*records, &book, "last", "2").await.len(), 20);
}
