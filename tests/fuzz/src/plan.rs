//! How records are cut into batches makes no difference.

use std::sync::Arc;
use tallyhouse_pipeline::ports::{Batch, RecordReader as _, RecordRepository as _};
use tallyhouse_pipeline::{Arrival, Draft, Outcome, RecordQuery, RuleBook, StoredRecord, SummaryQuery, Timestamp};
use tallyhouse_testing::MemoryRepository;

use futures::executor::block_on;

use crate::service::{StillClock, rules};
use crate::tail::Tail;

/// Few of each, so that they meet.
const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const DESTINATIONS: [&str; 2] = ["x", "y"];
const VALUES: [&str; 8] = ["0", "1", "1.0", "5.01", "1000", "1000.01", "0.0000000000000000000000000001", MOST];
const MOST: &str = "9999999999999999999999999999";
const TIMES: [&str; 2] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];

/// Most records at once.
const RECORDS_MAX: usize = 200;

/// Checks records, each made of a few bytes.
pub fn check(data: &[u8]) {
    let mut tail = Tail::new(data);
    let batch = 1 + tail.below(16);
    let mut arrivals = Vec::new();
    while !tail.is_empty() && arrivals.len() < RECORDS_MAX {
        arrivals.push(arrival(&mut tail));
    }
    let (one_by_one, in_batches) = (stored(&arrivals, 1), stored(&arrivals, batch));
    assert_eq!(one_by_one, in_batches, "batches of {batch}");
    each_once(&arrivals, &one_by_one.outcomes);
}

fn arrival(tail: &mut Tail<'_>) -> Arrival {
    let (which, how) = (tail.below(256), tail.below(256));
    let draft = Draft {
        record_id: IDS[which % 8],
        time: TIMES[how / 8 % 2],
        source_id: "s",
        destination_id: DESTINATIONS[which / 8 % 2],
        record_type: if how / 16 % 2 == 0 { "positive" } else { "negative" },
        value: VALUES[how % 8],
        unit: if how / 32 % 2 == 0 { "u" } else { "v" },
        reference: if which / 16 % 2 == 0 { "" } else { "r" },
    };
    let traceparent = (which >= 128).then(|| format!("trace {how}"));
    Arrival { record: draft.check().expect("these are records"), traceparent }
}

/// What a store answers, and what it then has.
#[derive(Debug, PartialEq)]
struct Stored {
    outcomes: Vec<Outcome>,
    records: Vec<StoredRecord>,
    summaries: Vec<String>,
}

fn stored(arrivals: &[Arrival], batch: usize) -> Stored {
    let store = MemoryRepository::new(Arc::new(StillClock));
    let (rules, now): (Arc<RuleBook>, _) = (Arc::new(rules().into()), Timestamp::MIN);
    let mut outcomes = Vec::new();
    for part in arrivals.chunks(batch) {
        let batch = Batch { arrivals: part.into(), rules: Arc::clone(&rules), now, owner: None, published: Vec::new() };
        outcomes.extend(block_on(store.commit(batch)).expect("memory takes them").outcomes);
    }
    let query = RecordQuery { limit: usize::MAX, ..RecordQuery::default() };
    let records = block_on(store.records(query)).expect("memory answers").rows;
    let summaries = records.iter().map(|stored| {
        let record = &stored.processed.record;
        let (destination_id, reference) = (record.destination_id.clone(), Some(record.reference.clone()));
        let query = SummaryQuery { destination_id, reference, after: None, limit: 2 };
        format!("{:?}", block_on(store.summaries(query)).expect("memory answers").rows)
    });
    Stored { outcomes, summaries: summaries.collect(), records }
}

/// Checks that every id is processed once, and repeated or refused from then on.
fn each_once(arrivals: &[Arrival], outcomes: &[Outcome]) {
    assert_eq!(arrivals.len(), outcomes.len());
    let mut firsts: Vec<&Arrival> = Vec::new();
    for (arrival, outcome) in arrivals.iter().zip(outcomes) {
        let expected = match firsts.iter().find(|first| first.record.record_id == arrival.record.record_id) {
            None => "processed",
            Some(first) if first.record == arrival.record => "duplicate",
            Some(_) => "conflict",
        };
        assert_eq!(outcome.name(), expected);
        if expected == "processed" {
            firsts.push(arrival);
        }
    }
}
