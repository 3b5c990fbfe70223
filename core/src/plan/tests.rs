//! Laws of the plan, over small worlds where ids, keys and units meet often; and its edges, one by one.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::record;
use crate::rule::{Rule, RuleDraft};

/// A store as simple as can be, that reads under lock no more than a batch's own ids and keys.
#[derive(Debug, Default)]
struct Store {
    stored: Vec<Arc<StoredRecord>>,
    summaries: HashMap<Key, Summary>,
}

impl Store {
    fn known(&self, batch: &[Arrival]) -> Known {
        let ids: HashSet<&RecordId> = batch.iter().map(|arrival| &arrival.record.record_id).collect();
        let keys: HashSet<Key> = batch.iter().map(|arrival| arrival.record.key()).collect();
        let records = self.stored.iter().map(|stored| stored.processed.clone());
        let known = records.filter(|processed| ids.contains(&processed.record.record_id));
        Known {
            records: known.map(|processed| (processed.record.record_id.clone(), processed)).collect(),
            summaries: keys.into_iter().filter_map(|key| self.summaries.get(&key).cloned().map(|s| (key, s))).collect(),
        }
    }

    fn commit(&mut self, batch: &[Arrival]) -> Vec<Outcome> {
        let Plan { outcomes, stored, summaries } = plan(batch, self.known(batch), &rules(), now());
        self.stored.extend(stored);
        self.summaries.extend(summaries);
        outcomes
    }
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00.000001Z").unwrap()
}

fn rules() -> RuleSet {
    let rule = |name: &str, threshold: &str| {
        let draft = RuleDraft { name: name.to_owned(), threshold: threshold.to_owned(), ..RuleDraft::default() };
        Rule::new(draft).unwrap()
    };
    RuleSet::new([rule("default", "1"), rule("zero", "0")]).unwrap()
}

fn arrivals<const N: usize>(records: [Record; N]) -> [Arrival; N] {
    records.map(Arrival::from)
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::name).collect()
}

/// A key that has so many units that a few more reach the limit.
fn nearly_full() -> Store {
    let mut store = Store::default();
    let batch: Vec<Arrival> = (0..Summary::UNITS_MAX - 2)
        .map(|n| record(&format!("before-{n}"), "destination-0", "", "1", &format!("before-{n}")).into())
        .collect();
    store.commit(&batch);
    store
}

/// Records of few ids, keys, units and values: repetitions, conflicts and the unit limit are common.
fn any_arrival() -> impl Strategy<Value = Arrival> {
    let trace = prop::option::weighted(0.2, Just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()));
    (0..14, 0..2, 0..2_usize, 0..4, 0..3_usize, any::<bool>(), trace).prop_map(
        |(id, destination, reference, unit, value, negative, traceparent)| {
            let (destination, reference) = (format!("destination-{destination}"), ["", "R"][reference]);
            let value = ["0", "1.50", "9999999999999999999999999999"][value];
            let mut record = record(&format!("id-{id}"), &destination, reference, value, &format!("unit-{unit}"));
            if negative {
                record.record_type = crate::record::RecordType::Negative;
            }
            Arrival { record, traceparent }
        },
    )
}

fn any_batch() -> impl Strategy<Value = Vec<Arrival>> {
    prop::collection::vec(any_arrival(), 0..50)
}

proptest! {
    #[test]
    fn how_records_are_cut_into_batches_makes_no_difference(batch in any_batch(), sizes in prop::collection::vec(1..9_usize, 50)) {
        let (mut at_once, mut one_by_one, mut cut) = (nearly_full(), nearly_full(), nearly_full());
        let expected = at_once.commit(&batch);
        let singly: Vec<Outcome> = batch.chunks(1).flat_map(|one| one_by_one.commit(one)).collect();
        prop_assert_eq!(&expected, &singly);

        let (mut rest, mut cut_outcomes) = (batch.as_slice(), Vec::new());
        for size in sizes {
            let (part, after) = rest.split_at(size.min(rest.len()));
            cut_outcomes.extend(cut.commit(part));
            rest = after;
        }
        cut_outcomes.extend(cut.commit(rest));
        prop_assert_eq!(&expected, &cut_outcomes);
        for other in [&one_by_one, &cut] {
            prop_assert_eq!(&at_once.stored, &other.stored);
            prop_assert_eq!(&at_once.summaries, &other.summaries);
        }
    }

    #[test]
    fn a_summary_sums_up_its_records_and_previous_the_earlier_ones(batches in prop::collection::vec(any_batch(), 0..4)) {
        let mut store = nearly_full();
        batches.iter().for_each(|batch| drop(store.commit(batch)));
        let mut sums = HashMap::<Key, Summary>::new();
        for stored in &store.stored {
            let sum = sums.entry(stored.processed.record.key()).or_default();
            prop_assert_eq!(&stored.previous, &*sum);
            sum.add(&stored.processed.record);
            prop_assert_eq!(stored.processed.sequence, sum.count());
        }
        prop_assert_eq!(&store.summaries, &sums);
        let ids: HashSet<&RecordId> = store.stored.iter().map(|stored| &stored.processed.record.record_id).collect();
        prop_assert_eq!(ids.len(), store.stored.len(), "each id once");
    }

    #[test]
    fn a_batch_that_comes_again_changes_nothing(batch in any_batch()) {
        let mut store = nearly_full();
        let first = store.commit(&batch);
        let Plan { outcomes, stored, summaries } = plan(&batch, store.known(&batch), &rules(), Timestamp::MAX);
        prop_assert_eq!(stored, vec![]);
        prop_assert_eq!(summaries, vec![]);
        for (first, again) in first.iter().zip(&outcomes) {
            match first {
                Outcome::Processed(stored) => {
                    let (sequence, processed_at) = (stored.processed.sequence, stored.processed.processed_at);
                    let record_id = stored.processed.record.record_id.clone();
                    prop_assert_eq!(again, &Outcome::Duplicate { record_id, sequence, processed_at });
                }
                Outcome::Duplicate { .. } | Outcome::Conflict { .. } => prop_assert_eq!(first, again),
                // Its id may have come again later in the batch, with content that was taken.
                Outcome::Rejected(_) => prop_assert!(["rejected", "conflict"].contains(&again.name())),
            }
        }
    }

    #[test]
    fn a_plan_writes_what_its_outcomes_say_and_no_more(before in any_batch(), batch in any_batch()) {
        let mut store = nearly_full();
        store.commit(&before);
        let Plan { outcomes, stored, summaries } = plan(&batch, store.known(&batch), &rules(), now());
        prop_assert_eq!(outcomes.len(), batch.len());
        let mut to_store = stored.iter();
        for (arrival, outcome) in batch.iter().zip(&outcomes) {
            prop_assert_eq!(outcome.record_id(), Some(&arrival.record.record_id));
            if let Outcome::Processed(processed) = outcome {
                prop_assert_eq!(Some(processed), to_store.next());
                prop_assert_eq!(&processed.processed.record, &arrival.record);
                prop_assert_eq!(&processed.traceparent, &arrival.traceparent);
                prop_assert_eq!(processed.processed.processed_at, now());
                prop_assert_eq!(&processed.alerts, &rules().met_by(&arrival.record, &processed.previous));
            }
        }
        prop_assert_eq!(to_store.next(), None);
        let touched: HashSet<Key> = stored.iter().map(|stored| stored.processed.record.key()).collect();
        let planned: HashSet<Key> = summaries.iter().map(|(key, _)| key.clone()).collect();
        prop_assert_eq!(touched, planned, "the summaries of the keys that changed, and no other");
        prop_assert!(summaries.is_sorted_by(|(a, _), (b, _)| a < b), "sorted by key, each once");
    }
}

#[test]
fn nothing_does_nothing() {
    let Plan { outcomes, stored, summaries } = plan(&[], Known::default(), &rules(), now());
    assert_eq!((outcomes, stored, summaries), (vec![], vec![], vec![]));
}

#[test]
fn inside_a_batch_the_first_of_an_id_counts() {
    let batch = arrivals([
        record("r", "D", "", "1", "EUR"),
        record("r", "D", "", "1.0", "EUR"),
        record("r", "E", "x", "2", "EUR"),
        record("r", "D", "", "1", "EUR"),
    ]);
    let plan = plan(&batch, Known::default(), &RuleSet::default(), now());
    let id = || batch[0].record.record_id.clone();
    let duplicate = Outcome::Duplicate { record_id: id(), sequence: 1, processed_at: now() };
    let differs = vec![Field::DestinationId, Field::Value, Field::Reference];
    assert_eq!(plan.outcomes[1..], [duplicate.clone(), Outcome::Conflict { record_id: id(), differs }, duplicate]);
    assert_eq!(plan.stored.len(), 1);
    assert_eq!(plan.summaries.len(), 1, "the key of the conflict alone is not touched");
}

#[test]
fn a_duplicate_is_told_when_it_was_processed_first() {
    let mut store = Store::default();
    store.commit(&arrivals([record("a", "D", "", "1", "EUR"), record("b", "D", "", "1", "EUR")]));
    let batch = arrivals([record("b", "D", "", "1", "EUR"), record("c", "D", "", "1", "EUR")]);
    let later = Timestamp::parse("2027-01-01T00:00:00Z").unwrap();
    let plan = plan(&batch, store.known(&batch), &RuleSet::default(), later);
    let record_id = batch[0].record.record_id.clone();
    assert_eq!(plan.outcomes[0], Outcome::Duplicate { record_id, sequence: 2, processed_at: now() });
    assert_eq!(plan.stored[0].processed.processed_at, later);
    assert_eq!(plan.stored[0].processed.sequence, 3);
}

#[test]
fn units_that_are_too_large_together_are_rejected() {
    let mut store = Store::default();
    let large = |n: usize| record(&format!("{n}"), "D", "", "1", &format!("{n:𝄞>64}"));
    let batch: Vec<Arrival> = (0..40).map(|n| large(n).into()).collect();
    let outcomes = store.commit(&batch);
    let taken = outcomes.iter().take_while(|outcome| outcome.name() == "processed").count();
    assert_eq!(taken, Summary::UNIT_BYTES_MAX / 254, "units of some 250 bytes");
    let Outcome::Rejected(rejection) = &outcomes[taken] else { panic!("{outcomes:?}") };
    assert_eq!(
        rejection.detail(),
        "/unit would bring the units of this destination and reference to more than 8192 bytes together"
    );
    assert_eq!(
        names(&store.commit(&[large(0).into(), record("small", "D", "", "1", "EUR").into()])),
        ["duplicate", "processed"]
    );
}

#[test]
fn the_unit_beyond_the_limit_is_rejected_and_names_the_field() {
    let mut store = nearly_full();
    let with_unit = |id: &str, unit: &str| record(id, "destination-0", "", "1", unit);
    let batch = arrivals([
        with_unit("99th", "99th"),
        with_unit("100th", "100th"),
        with_unit("101st", "101st"),
        with_unit("known", "99th"),
        record("other key", "destination-0", "R", "1", "101st"),
        // The id of a refused record is still free.
        with_unit("101st", "100th"),
    ]);
    let outcomes = store.commit(&batch);
    assert_eq!(names(&outcomes), ["processed", "processed", "rejected", "processed", "processed", "processed"]);
    let Outcome::Rejected(rejection) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(rejection.record_id, Some(batch[2].record.record_id.clone()));
    assert_eq!(
        rejection.detail(),
        "/unit would be the unit number 101 of this destination and reference; 100 are allowed"
    );
    // Against the store it is the same, also where it is all that the batch has for this key.
    let refused = arrivals([with_unit("again", "101st")]);
    let plan = plan(&refused, store.known(&refused), &rules(), now());
    assert_eq!(names(&plan.outcomes), ["rejected"]);
    assert_eq!((plan.stored, plan.summaries), (vec![], vec![]));
}

#[test]
fn keys_are_sorted_by_bytes_destination_first() {
    let keys = [("b", ""), ("B", "z"), ("a", "é"), ("a", "z"), ("a", "Z"), ("a", "")];
    let batch = keys.map(|(destination, reference)| {
        Arrival::from(record(&format!("{destination}/{reference}"), destination, reference, "1", "EUR"))
    });
    let plan = plan(&batch, Known::default(), &RuleSet::default(), now());
    let sorted: Vec<(&str, &str)> =
        plan.summaries.iter().map(|(key, _)| (key.destination_id.as_str(), key.reference.as_str())).collect();
    assert_eq!(sorted, [("B", "z"), ("a", ""), ("a", "Z"), ("a", "z"), ("a", "é"), ("b", "")]);
}
