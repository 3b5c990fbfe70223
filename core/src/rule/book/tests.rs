//! Which rules are in force, and what a change of a managed one comes to.

use std::convert::Infallible;

use super::*;
use crate::rule::RuleDraft;

fn rule(name: &str, threshold: &str) -> Arc<Rule> {
    let draft = RuleDraft { name: name.to_owned(), threshold: threshold.to_owned(), ..RuleDraft::default() };
    Arc::new(Rule::new(draft).unwrap())
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn put(name: &str, threshold: &str, precondition: Precondition) -> RuleEdit {
    RuleEdit { name: name.to_owned(), rule: Some(rule(name, threshold)), precondition, now: at(100) }
}

fn managed(version: u64, rules: &[(&str, &str)]) -> ManagedRules {
    let rules = rules.iter().map(|(name, threshold)| ManagedRule {
        rule: rule(name, threshold),
        version: 7,
        changed_at: at(7),
    });
    ManagedRules { version, rules: rules.collect() }
}

fn names(rules: &RuleSet) -> Vec<String> {
    rules.iter().map(|rule| format!("{} {}", rule.name(), rule.threshold())).collect()
}

#[test]
fn a_managed_rule_takes_the_place_of_an_own_one_and_gives_it_back() {
    let own = [rule("default", "10"), rule("large", "20")].map(|rule| (*rule).clone());
    let book = RuleBook::new(RuleSet::new(own).unwrap());
    let in_force = |version, rules: &[(&str, &str)]| {
        let Ok(rules) = book.in_force(version, || Ok::<_, Infallible>(managed(version, rules)));
        names(&rules)
    };
    assert_eq!(in_force(0, &[]), ["default 10", "large 20"]);
    assert_eq!(in_force(1, &[("huge", "99"), ("large", "30")]), ["default 10", "large 30", "huge 99"]);
    assert_eq!(in_force(2, &[]), ["default 10", "large 20"]);
}

#[test]
fn the_rules_are_read_only_where_their_version_is_another_one() {
    let book = RuleBook::default();
    let read =
        |version, result: Result<ManagedRules, &'static str>| book.in_force(version, || result).map(|set| names(&set));
    assert_eq!(read(5, Err("away")), Err("away"));
    assert_eq!(read(5, Ok(managed(5, &[("a", "1")]))).unwrap(), ["a 1"]);
    assert_eq!(read(5, Err("not read again")).unwrap(), ["a 1"]);
    // Earlier ones too: a database may be restored from a copy.
    assert_eq!(read(4, Err("read again")), Err("read again"));
    assert_eq!(read(4, Ok(managed(4, &[]))).unwrap(), Vec::<String>::new());
}

#[test]
fn a_change_is_judged_by_what_there_is() {
    #[track_caller]
    fn check(edit: &RuleEdit, expected: &str) {
        let edited = amend(&managed(9, &[("a", "1.0")]), edit);
        let shown = match edited {
            RuleEditOutcome::Created(managed) => format!("created {}", managed.version),
            RuleEditOutcome::Replaced(managed) => format!("replaced {}", managed.version),
            RuleEditOutcome::Unchanged(managed) => format!("unchanged {}", managed.version),
            RuleEditOutcome::Deleted(version) => format!("deleted {version}"),
            RuleEditOutcome::Missing => "missing".to_owned(),
            RuleEditOutcome::PreconditionFailed => "otherwise".to_owned(),
            RuleEditOutcome::Full => "full".to_owned(),
        };
        assert_eq!(shown, expected, "{edit:?}");
    }
    let delete = |name, precondition| RuleEdit { rule: None, ..put(name, "1", precondition) };
    check(&put("b", "1", Precondition::Any), "created 100");
    check(&put("b", "1", Precondition::Absent), "created 100");
    check(&put("b", "1", Precondition::Present), "otherwise");
    check(&put("b", "1", Precondition::Version(vec![7])), "otherwise");
    check(&put("a", "2", Precondition::Any), "replaced 100");
    check(&put("a", "2", Precondition::Present), "replaced 100");
    check(&put("a", "2", Precondition::Version(vec![3, 7])), "replaced 100");
    check(&put("a", "2", Precondition::Version(vec![9])), "otherwise");
    check(&put("a", "2", Precondition::Absent), "otherwise");
    check(&put("a", "1.0", Precondition::Any), "unchanged 7");
    // Messages write it as it came.
    check(&put("a", "1.00", Precondition::Any), "replaced 100");
    check(&delete("a", Precondition::Any), "deleted 100");
    check(&delete("a", Precondition::Version(vec![8])), "otherwise");
    check(&delete("b", Precondition::Any), "missing");
    check(&delete("b", Precondition::Present), "otherwise");
    // A clock that goes back makes no version that was there before.
    check(&RuleEdit { now: at(-5), ..put("b", "1", Precondition::Any) }, "created 10");
}

#[test]
fn there_is_a_limit_to_their_number() {
    let names: Vec<String> = (0..ManagedRules::RULES_MAX).map(|n| format!("r{n}")).collect();
    let rules: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let full = managed(9, &rules);
    assert_eq!(amend(&full, &put("one-more", "1", Precondition::Any)), RuleEditOutcome::Full);
    assert!(matches!(amend(&full, &put("r3", "2", Precondition::Any)), RuleEditOutcome::Replaced(_)));
}
