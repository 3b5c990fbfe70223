//! The invariants of a store at any time. Nearly every case ends with this check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallyhouse_core::ports::{AuditPart, HistoryQuery, Store};
use tallyhouse_core::{Key, RecordId, RecordQuery, StoredRecord, Summary, SummaryQuery, Timestamp};

use futures::TryStreamExt;

use super::exact;
use crate::conformance::assert_distinct;

/// Records in one page of the reads here: few enough that every read takes several pages.
const PAGE: usize = 700;

/// Reads the store by every query, checks that the answers agree and are consistent, and returns the records by
/// position.
///
/// Consistent means: positions 1…n; each id once; per key the sequences 1…n, each record's `previous` exactly the summary of
/// the earlier ones, and the running summary that of all.
pub(super) async fn assert_consistent(repository: &dyn Store) -> Vec<Arc<StoredRecord>> {
    let records = read_history(repository).await;
    let head = repository.head().await.expect("the head is read");
    assert_eq!(head, records.len() as u64, "the head is the last position");
    assert_distinct(records.iter().map(|stored| &stored.processed.record.record_id));
    let summaries = sum_up(&records);
    assert_pages_agree(repository, &records).await;
    assert_summaries_agree(repository, &summaries).await;
    assert_audit_agrees(repository, &records, &summaries).await;
    let report = tallyhouse_pipeline::audit(repository).await.expect("the audit ends");
    assert_eq!((report.findings, report.records), (Vec::new(), head), "what the audit finds");
    records
}

async fn read_history(repository: &dyn Store) -> Vec<Arc<StoredRecord>> {
    let mut records = Vec::new();
    loop {
        let after = records.len() as u64;
        let query = HistoryQuery { after, alerting_only: false, limit: PAGE };
        let page = repository.history(query).await.expect("the history is read");
        assert!(page.len() <= PAGE, "no more than asked for");
        for (place, (position, _)) in (1..).zip(&page) {
            assert_eq!(*position, after + place, "positions have no gap");
        }
        if page.is_empty() {
            return records;
        }
        records.extend(page.into_iter().map(|(_, stored)| stored));
    }
}

/// Sums up the records in the order of their positions, and returns the summary that each key must have.
fn sum_up(records: &[Arc<StoredRecord>]) -> BTreeMap<Key, Summary> {
    let mut summaries = BTreeMap::<Key, Summary>::new();
    for stored in records {
        let record = &stored.processed.record;
        let summary = summaries.entry(record.key()).or_default();
        assert_eq!(stored.previous, *summary, "what {} has as its previous summary", record.record_id);
        summary.add(record);
        assert_eq!(stored.processed.sequence, summary.count(), "the sequence of {}", record.record_id);
    }
    summaries
}

async fn assert_pages_agree(repository: &dyn Store, records: &[Arc<StoredRecord>]) {
    let place = |stored: &StoredRecord| (stored.processed.record.time, stored.processed.record.record_id.clone());
    let mut expected: Vec<((Timestamp, RecordId), String)> =
        records.iter().map(|stored| (place(stored), exact(stored))).collect();
    expected.sort();
    let mut found: Vec<((Timestamp, RecordId), String)> = Vec::new();
    loop {
        let after = found.last().map(|(place, _)| place.clone());
        let query = RecordQuery { after: after.clone(), limit: PAGE, ..RecordQuery::default() };
        let page = repository.records(query).await.expect("records are read").rows;
        if page.is_empty() {
            break;
        }
        assert!(page.first().map(place) > after, "a page goes on where the one before ended");
        found.extend(page.iter().map(|stored| (place(stored), exact(stored))));
    }
    assert_eq!(found, expected, "the records by time and id");

    // Each would be a round trip: some are enough.
    for stored in records.iter().step_by(1 + records.len() / 40) {
        let record_id = &stored.processed.record.record_id;
        let found = repository.find(record_id).await.expect("a record is looked up").expect("the record is there");
        assert_eq!(exact(&found), exact(stored), "the record by its id");
    }
}

async fn assert_summaries_agree(repository: &dyn Store, summaries: &BTreeMap<Key, Summary>) {
    let destinations: BTreeSet<_> = summaries.keys().map(|key| &key.destination_id).collect();
    for destination_id in destinations.into_iter().take(60) {
        let of_it = summaries.iter().filter(|(key, _)| key.destination_id == *destination_id);
        let expected: Vec<_> = of_it.map(|(key, summary)| (key.reference.clone(), summary.clone())).collect();
        let limit = expected.len() + 1;
        let query = SummaryQuery { destination_id: destination_id.clone(), reference: None, after: None, limit };
        let found = repository.summaries(query).await.expect("summaries are read").rows;
        assert_eq!(found, expected, "the running summaries of {destination_id}");
    }
}

async fn assert_audit_agrees(
    repository: &dyn Store,
    records: &[Arc<StoredRecord>],
    summaries: &BTreeMap<Key, Summary>,
) {
    let mut by_key = BTreeMap::<Key, Vec<AuditPart>>::new();
    for (position, stored) in (1..).zip(records) {
        let part = AuditPart::Record(position, Box::new((**stored).clone()));
        by_key.entry(stored.processed.record.key()).or_default().push(part);
    }
    let mut expected = Vec::new();
    for (key, summary) in summaries {
        expected.push(AuditPart::Key(key.clone(), Some(summary.clone())));
        expected.extend(by_key.remove(key).unwrap_or_default());
    }
    let mut parts: Vec<AuditPart> =
        repository.audit().await.expect("the audit begins").try_collect().await.expect("the audit ends");
    // Which roll-ups there are is up to the store, as long as the audit finds nothing wrong with them.
    parts.retain(|part| !matches!(part, AuditPart::RolledUpTo(_) | AuditPart::RollUp(_)));
    let begin_of_outbox = parts.iter().position(|part| matches!(part, AuditPart::Outbox(..))).unwrap_or(parts.len());
    let (kept, outbox) = parts.split_at(begin_of_outbox);
    for (found, expected) in kept.iter().zip(&expected) {
        assert_eq!(found, expected, "a part of the audit");
    }
    assert_eq!(kept.len(), expected.len(), "how many parts the audit has");

    let stats = repository.backlog().await.expect("the backlog is read");
    let mut records_in_outbox = 0;
    for part in outbox {
        let AuditPart::Outbox(first, last) = part else { unreachable!("{part:?} comes after the outbox") };
        assert!(
            1 <= *first && first <= last && *last <= records.len() as u64,
            "the positions of the outbox exist: {part:?}"
        );
        records_in_outbox += last - first + 1;
    }
    assert_eq!((stats.batches, stats.records), (outbox.len() as u64, records_in_outbox), "the backlog");
}
