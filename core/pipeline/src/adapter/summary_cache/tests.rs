//! The cache keeps the latest summaries, within its size.

use tallyhouse_core::{Draft, Record};

use super::*;

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
fn the_latest_summary_of_a_key_is_cached_until_it_is_forgotten() {
    let mut cache = SummaryCache::default();
    let (key, first) = entry("a", 1);
    let (_, second) = entry("a", 2);
    assert_eq!(cache.get(&key), None);
    cache.insert(&[(key.clone(), first)]);
    cache.insert(&[(key.clone(), second.clone())]);
    assert_eq!(cache.get(&key), Some(&second));
    let (other, third) = entry("b", 1);
    cache.insert(&[(other.clone(), third.clone())]);
    cache.remove([&key]);
    assert_eq!((cache.get(&key), cache.get(&other)), (None, Some(&third)));
    cache.clear();
    assert_eq!(cache.get(&other), None);
}

#[test]
fn the_cache_is_bounded_by_its_size() {
    let mut cache = SummaryCache::default();
    let units = 100;
    let (_, large) = entry("", units);
    let weight = ByUnits.weight(&record("", "u").key(), &large);
    assert_eq!(weight, BYTES_PER_KEY + "d".len() as u64 + 100 * BYTES_PER_UNIT);
    let fitting = BYTES_MAX / weight;
    for n in 0..2 * fitting {
        cache.insert(&[(record(&n.to_string(), "u").key(), large.clone())]);
    }
    let kept = (0..2 * fitting).filter(|n| cache.get(&record(&n.to_string(), "u").key()).is_some()).count();
    let kept = u64::try_from(kept).unwrap();
    assert!(kept <= fitting, "{kept} of {fitting} that fit");
    assert!(kept > fitting / 2, "{kept} of {fitting} that fit");
}
