//! What is remembered, how much of it, and when it is counted on.

use super::*;
use tallyhouse_core::{Draft, Record};

fn record(reference: &str, unit: &str) -> Record {
    let draft = Draft {
        record_id: "r",
        time: "2026-01-01T00:00:00Z",
        source_id: "s",
        destination_id: "d",
        record_type: "positive",
        value: "1",
        unit,
        reference,
    };
    draft.check().unwrap()
}

/// A key with the summary of one record in each of so many units.
fn entry(reference: &str, units: usize) -> (Key, Summary) {
    let records: Vec<Record> = (0..units).map(|n| record(reference, &format!("u{n}"))).collect();
    (records[0].key(), records.iter().collect())
}

#[test]
fn what_was_noted_last_is_expected_until_it_is_forgotten() {
    let mut recent = SummaryCache::default();
    let (key, first) = entry("a", 1);
    let (_, second) = entry("a", 2);
    assert_eq!(recent.get(&key), None);
    recent.note(&[(key.clone(), first)]);
    recent.note(&[(key.clone(), second.clone())]);
    assert_eq!(recent.get(&key), Some(&second));
    let (other, third) = entry("b", 1);
    recent.note(&[(other.clone(), third.clone())]);
    recent.forget_keys([&key]);
    assert_eq!((recent.get(&key), recent.get(&other)), (None, Some(&third)));
    recent.forget();
    assert_eq!(recent.get(&other), None);
}

#[test]
fn what_is_remembered_is_bounded_by_its_size() {
    let mut recent = SummaryCache::default();
    let units = 100;
    let (_, large) = entry("", units);
    let weight = ByUnits.weight(&record("", "u").key(), &large);
    assert_eq!(weight, BYTES_PER_KEY + "d".len() as u64 + 100 * BYTES_PER_UNIT);
    let fitting = BYTES_MAX / weight;
    for n in 0..2 * fitting {
        recent.note(&[(record(&n.to_string(), "u").key(), large.clone())]);
    }
    let kept = (0..2 * fitting).filter(|n| recent.get(&record(&n.to_string(), "u").key()).is_some()).count();
    let kept = u64::try_from(kept).unwrap();
    assert!(kept <= fitting, "{kept} of {fitting} that fit");
    assert!(kept > fitting / 2, "{kept} of {fitting} that fit");
}

#[test]
fn trust_that_was_broken_returns_after_it_was_earned() {
    let mut trust = SpeculationGate::default();
    assert!(trust.is_open());
    trust.learn(true);
    assert!(trust.is_open());
    trust.learn(false);
    for _ in 1..SpeculationGate::HELD_BEFORE {
        trust.learn(true);
        assert!(!trust.is_open());
    }
    trust.learn(false);
    for _ in 0..SpeculationGate::HELD_BEFORE {
        assert!(!trust.is_open());
        trust.learn(true);
    }
    assert!(trust.is_open());
}
