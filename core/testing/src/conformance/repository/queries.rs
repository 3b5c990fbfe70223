//! Queries: filters, and pages of records, summaries and history.

use std::collections::BTreeMap;
use std::sync::Arc;
use tallyhouse_core::ports::{Batch, HistoryQuery, PAGE_WEIGHT_MAX, Page, Store};
use tallyhouse_core::{
    Alerting, DestinationId, Draft, Filter, Record, RecordId, RecordOrder, RecordQuery, RecordType, Reference,
    SourceId, StoredRecord, SummaryQuery, Timestamp, Unit,
};

use super::{RepositoryFixture, batch, commit, commit_records, exact, id, rule, rules};
use crate::doubles::generate::{AWKWARD_TEXTS, Generator, draft, record};

/// Records come by time, then by the bytes of their ids, or in the reverse; every page continues exactly where the last
/// one ended.
pub async fn records_page_by_time_then_id<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let ids = ["b", "B", "a", "é", "z", "Z", "a ", " a", "a0", "a-", "𝄞", "\u{fffd}"];
    let times = ["2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00Z", "1969-07-20T20:17:40Z", "0001-01-01T00:00:00Z"];
    let mut records = Vec::new();
    for (i, time) in times.into_iter().enumerate() {
        records.extend(ids.map(|id| at(&format!("{id}{i}"), time)));
    }
    Generator::new(1).shuffle(&mut records);
    commit_records(&*repository, records.clone()).await;
    records.sort_by(|a, b| (a.time, a.record_id.as_str().as_bytes()).cmp(&(b.time, b.record_id.as_str().as_bytes())));
    for limit in [1, 5, 47, 48, 100] {
        let found = all_pages(&*repository, &Filter::default(), limit).await;
        assert_listed(&found, &records.iter().collect::<Vec<_>>(), &format!("in pages of {limit}"));
        let found = all_pages_of(&*repository, newest_first(Filter::default(), limit)).await;
        assert_listed(&found, &records.iter().rev().collect::<Vec<_>>(), &format!("in pages of {limit}, reversed"));
    }
    // A cursor need not be the place of a record.
    let between = Timestamp::parse("2025-01-01T00:00:00Z").expect("this is RFC 3339");
    let query = RecordQuery { after: Some((between, id("a"))), limit: 1, ..RecordQuery::default() };
    let page = repository.records(query).await.expect("records are read");
    assert_eq!(page.rows[0].processed.record, records[24]);
}

/// Filters combine with *and*, and find what a scan of all records finds.
pub async fn every_filter_finds_what_a_full_scan_finds<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut generator = Generator::new(17);
    let mut records = generator.records("r", 400);
    commit_records(&*repository, records.clone()).await;
    records.sort_by(|a, b| (a.time, &a.record_id).cmp(&(b.time, &b.record_id)));
    let mut found_some = 0;
    for round in 0..120 {
        let filter = random_filter(&mut generator, &records, round);
        let expected: Vec<&Record> = records.iter().filter(|record| matches(&filter, record)).collect();
        let found = all_pages(&*repository, &filter, 37).await;
        assert_listed(&found, &expected, &format!("{filter:?}"));
        let expected: Vec<&Record> = expected.into_iter().rev().collect();
        let found = all_pages_of(&*repository, newest_first(filter.clone(), 37)).await;
        assert_listed(&found, &expected, &format!("{filter:?}, reversed"));
        found_some += usize::from(!expected.is_empty());
    }
    assert!(found_some > 60, "the filters are not all empty: {found_some}");
}

/// Every filter compares texts by bytes: case, blanks, accents and patterns count.
pub async fn filters_compare_texts_by_bytes<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let records = AWKWARD_TEXTS.map(|text| {
        draft(Draft { record_id: text, source_id: text, destination_id: text, unit: text, reference: text, ..PLAIN })
    });
    commit_records(&*repository, records).await;
    for text in AWKWARD_TEXTS.into_iter().chain(["%", "_", "", "plain "]) {
        let filters = [
            SourceId::new(text).ok().map(|id| Filter { source_id: Some(id), ..Filter::default() }),
            DestinationId::new(text).ok().map(|id| Filter { destination_id: Some(id), ..Filter::default() }),
            Unit::new(text).ok().map(|unit| Filter { unit: Some(unit), ..Filter::default() }),
            Reference::new(text).ok().map(|reference| Filter { reference: Some(reference), ..Filter::default() }),
        ];
        for filter in filters.into_iter().flatten() {
            let found = all_pages(&*repository, &filter, 10).await;
            let ids: Vec<&str> = found.iter().map(|stored| stored.processed.record.record_id.as_str()).collect();
            let expected: &[&str] = if AWKWARD_TEXTS.contains(&text) { &[text] } else { &[] };
            assert_eq!(ids, expected, "{filter:?}");
        }
    }
}

/// A record at `start` is in, one at `end` is not; a filter can include the last instant of all.
pub async fn start_is_inclusive_and_end_is_exclusive<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let last = "9999-12-31T23:59:59.999999Z";
    let times = [
        ("first", "0001-01-01T00:00:00Z"),
        ("one", "2026-01-01T00:00:00.000001Z"),
        ("two", "2026-01-01T00:00:00.000002Z"),
        ("last", last),
    ];
    commit_records(&*repository, times.map(|(id, time)| at(id, time))).await;
    let bound = |text: &str| Some(Timestamp::parse_bound(text).expect("this is a bound"));
    let cases: [(Option<Timestamp>, Option<Timestamp>, &[&str]); 8] = [
        (bound(times[1].1), bound(times[2].1), &["one"]),
        (bound(times[1].1), bound(times[1].1), &[]),
        (bound(times[2].1), bound(times[1].1), &[]),
        (bound(times[2].1), None, &["two", "last"]),
        (None, bound(times[2].1), &["first", "one"]),
        (bound(times[0].1), bound(last), &["first", "one", "two"]),
        (bound(last), bound("9999-12-31T23:59:59.9999991Z"), &["last"]),
        (bound("9999-12-31T23:59:59.9999991Z"), None, &[]),
    ];
    for (start, end, expected) in cases {
        let filter = Filter { start, end, ..Filter::default() };
        let found = all_pages(&*repository, &filter, 10).await;
        let ids: Vec<&str> = found.iter().map(|stored| stored.processed.record.record_id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

/// The running summaries of a destination come by the bytes of the reference, the empty one first.
pub async fn summaries_page_by_reference<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut references = ["", "B", "a", "b", "é", " ", "it's", "%", "10", "9"];
    for (i, reference) in references.iter().enumerate() {
        let others = ["d", "D ", "C", "E"].map(|other| record(&format!("{other}{i}"), other, reference, "1", "EUR"));
        commit_records(&*repository, others.into_iter().chain([record(&i.to_string(), "D", reference, "1", "EUR")]))
            .await;
    }
    references.sort_unstable();
    for limit in [1, 3, 10, 11] {
        let mut found = Vec::<String>::new();
        loop {
            let page = summaries(&*repository, "D", None, found.last().map(String::as_str), limit).await;
            if page.is_empty() {
                break;
            }
            assert!(page.first() > found.last(), "a page goes on where the one before ended");
            found.extend(page);
        }
        assert_eq!(found, references, "in pages of {limit}");
    }
    for reference in references {
        assert_eq!(summaries(&*repository, "D", Some(reference), None, 10).await, [reference]);
    }
    assert_eq!(summaries(&*repository, "D", Some("c"), None, 10).await, [""; 0]);
    assert_eq!(summaries(&*repository, "unknown", None, None, 10).await, [""; 0]);
    assert_eq!(summaries(&*repository, "unknown", Some(""), None, 10).await, [""; 0]);
}

/// History comes by position, on request only the records that met a rule, with their true positions.
pub async fn history_pages_by_position<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let rules = rules([rule("high", "50")]);
    let mut expected = BTreeMap::<u64, String>::new();
    for round in 0..10_u64 {
        let records = (0..10_u64).map(|i| record(&format!("{round}-{i}"), "D", "", &(round * i).to_string(), "EUR"));
        let committed = commit(&*repository, Batch { rules: Arc::clone(&rules), ..batch(records) }).await;
        let first = committed.entry.expect("records are stored").first;
        for (position, outcome) in (first..).zip(&committed.outcomes) {
            expected.insert(position, exact(super::processed(outcome)));
        }
    }
    for (alerting_only, limit) in [(false, 7), (false, 1_000), (true, 4), (true, 1_000), (true, 1)] {
        let mut found = BTreeMap::new();
        let mut after = 0;
        loop {
            let query = HistoryQuery { after, alerting_only, limit };
            let page = repository.history(query).await.expect("the history is read");
            assert!(page.len() <= limit, "no more than asked for");
            let Some((last, _)) = page.last() else { break };
            assert!(page.is_sorted_by(|(a, _), (b, _)| a < b), "positions grow");
            assert_eq!(page[0].0, after + 1, "the first record is there, whether it met a rule or not");
            assert!(!alerting_only || page[1..].iter().all(|(_, stored)| !stored.alerts.is_empty()));
            after = *last;
            found.extend(page);
        }
        let alerting = found.values().filter(|stored| !stored.alerts.is_empty()).count();
        assert_eq!(alerting, 10, "alerting_only: {alerting_only}");
        assert!(alerting_only || found.len() == 100);
        for (position, stored) in &found {
            assert_eq!(exact(stored), expected[position]);
        }
    }
    for after in [100, 101, i64::MAX.unsigned_abs()] {
        let query = HistoryQuery { after, alerting_only: false, limit: 10 };
        assert_eq!(repository.history(query).await.expect("the history is read"), []);
    }
}

/// Records are selected by the rules that they met, beside the other conditions.
pub async fn records_are_selected_by_the_rules_that_they_met<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let rules = rules([rule("high", "50"), rule("higher", "70"), rule("high-est", "90")]);
    let records: Vec<Record> =
        (0..100).map(|i| record(&format!("r-{i:02}"), &format!("D{}", i % 3), "", &i.to_string(), "EUR")).collect();
    commit(&*repository, Batch { rules, ..batch(records.clone()) }).await;
    let named = |name: &str| Alerting::Rule(name.to_owned());
    let table = [
        (Alerting::Any, 51),
        (named("high"), 51),
        (named("higher"), 71),
        (named("high-est"), 91),
        (named("hig"), 100),
        (named("high%"), 100),
        (named("default"), 100),
    ];
    for (alerting, from) in table {
        for destination in [None, Some("D1")] {
            let filter = Filter {
                destination_id: destination.map(|id| DestinationId::new(id).expect("a valid destination")),
                ..Filter::default()
            };
            let expected: Vec<&Record> = records[from..].iter().filter(|record| filter.matches(record)).collect();
            let query = RecordQuery { filter, alerting: Some(alerting.clone()), limit: 7, ..RecordQuery::default() };
            assert_listed(&all_pages_of(&*repository, query).await, &expected, &format!("{alerting:?}"));
        }
    }
}

/// Records are found together as they are found one by one, in the order of their ids, with those that are missing.
pub async fn records_are_found_together_in_the_order_asked_for<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut generator = Generator::new(47);
    commit_records(&*repository, generator.records("r", 300)).await;
    let mut ids: Vec<RecordId> = (0..350).map(|n| id(&format!("r-{n}"))).collect();
    let history = HistoryQuery { after: 0, alerting_only: false, limit: 300 };
    let stored = repository.history(history).await.expect("the history is read");
    ids.extend(stored.iter().map(|(_, stored)| stored.processed.record.record_id.clone()));
    ids.sort_unstable();
    ids.dedup();
    generator.shuffle(&mut ids);
    let found = repository.find_all(&ids).await.expect("records are looked up");
    assert_eq!(found.len(), ids.len(), "one answer for each id");
    assert_eq!(found.iter().flatten().count(), 300, "all are found");
    for (id, found) in ids.iter().zip(found) {
        let one = repository.find(id).await.expect("a record is looked up");
        assert_eq!(found.as_ref().map(exact), one.as_ref().map(exact), "{id}");
    }
    assert_eq!(repository.find_all(&[]).await.expect("no record is looked up"), []);
}

fn newest_first(filter: Filter, limit: usize) -> RecordQuery {
    RecordQuery { filter, order: RecordOrder::NewestFirst, limit, ..RecordQuery::default() }
}

/// A page ends before it is much heavier than [`PAGE_WEIGHT_MAX`], and the next one continues after it.
pub async fn pages_of_large_records_end_early_and_go_on_without_a_gap<F: RepositoryFixture>() {
    const RECORDS: usize = 900;
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    // Each record of the key has the summary of a hundred long units before it.
    let records: Vec<Record> =
        (0..RECORDS).map(|n| record(&format!("r{n:04}"), "D", "", "1", &format!("{:x>64}", n % 100))).collect();
    commit_records(&*repository, records.clone()).await;

    let found = all_pages(&*repository, &Filter::default(), RECORDS).await;
    let mut by_id: Vec<&Record> = records.iter().collect();
    by_id.sort_by(|a, b| (a.time, &a.record_id).cmp(&(b.time, &b.record_id)));
    assert_listed(&found, &by_id, "in pages that end early");
    let query = RecordQuery { limit: RECORDS, ..RecordQuery::default() };
    let page = repository.records(query).await.expect("records are read");
    assert!(page.more, "a page that ends early says so");
    assert_is_bounded(page.rows.iter().map(StoredRecord::weight));

    let (mut after, mut positions) = (0, Vec::new());
    loop {
        let query = HistoryQuery { after, alerting_only: false, limit: RECORDS };
        let page = repository.history(query).await.expect("the history is read");
        assert_is_bounded(page.iter().map(|(_, stored)| stored.weight()));
        let Some((last, _)) = page.last() else { break };
        after = *last;
        positions.extend(page.iter().map(|(position, _)| *position));
    }
    assert!(positions.into_iter().eq(1..=RECORDS as u64), "no position is left out");
}

#[track_caller]
fn assert_is_bounded(weights: impl Iterator<Item = usize>) {
    let weight: usize = weights.sum();
    assert!(weight < 3 * PAGE_WEIGHT_MAX, "a page weighs {weight} bytes");
}

const PLAIN: Draft<'static> = Draft {
    record_id: "plain",
    time: "2026-01-01T00:00:00Z",
    source_id: "source",
    destination_id: "D",
    record_type: "positive",
    value: "1",
    unit: "EUR",
    reference: "",
};

fn at(id: &str, time: &str) -> Record {
    draft(Draft { record_id: id, time, ..PLAIN })
}

async fn summaries(
    repository: &dyn Store,
    destination: &str,
    reference: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let checked = |text: &str| Reference::new(text).expect("a valid reference");
    let query = SummaryQuery {
        destination_id: DestinationId::new(destination).expect("a valid destination"),
        reference: reference.map(checked),
        after: after.map(checked),
        limit,
    };
    let Page { rows, more } = repository.summaries(query.clone()).await.expect("summaries are read");
    assert!(rows.len() <= limit && rows.iter().all(|(_, summary)| summary.count() == 1));
    if let Some((last, _)) = rows.last() {
        let behind = SummaryQuery { after: Some(last.clone()), limit: 1, ..query };
        let behind = repository.summaries(behind).await.expect("summaries are read");
        assert_eq!(more, !behind.rows.is_empty(), "whether there are more behind {last:?}");
    }
    rows.into_iter().map(|(reference, _)| reference.to_string()).collect()
}

/// Reads all matching records in pages.
async fn all_pages(repository: &dyn Store, filter: &Filter, limit: usize) -> Vec<StoredRecord> {
    all_pages_of(repository, RecordQuery { filter: filter.clone(), limit, ..RecordQuery::default() }).await
}

/// Reads all records that a query selects, in pages of its limit.
async fn all_pages_of(repository: &dyn Store, query: RecordQuery) -> Vec<StoredRecord> {
    let (mut found, mut more) = (Vec::<StoredRecord>::new(), None);
    let follows = |a: &(Timestamp, RecordId), b: &(Timestamp, RecordId)| match query.order {
        RecordOrder::OldestFirst => a < b,
        RecordOrder::NewestFirst => a > b,
    };
    loop {
        let place = |stored: &StoredRecord| (stored.processed.record.time, stored.processed.record.record_id.clone());
        let after: Option<(Timestamp, RecordId)> = found.last().map(place);
        let query = RecordQuery { after: after.clone(), ..query.clone() };
        let Page { rows: page, more: is_more } = repository.records(query.clone()).await.expect("records are read");
        assert!(more.is_none_or(|more| more != page.is_empty()), "whether there are more behind {after:?}");
        more = Some(is_more);
        let places: Vec<(Timestamp, RecordId)> = after.into_iter().chain(page.iter().map(place)).collect();
        assert!(places.is_sorted_by(follows), "a page goes on where the one before ended");
        assert!(page.len() <= query.limit, "no more than asked for");
        if page.is_empty() {
            assert!(!is_more, "an empty page is the last one");
            return found;
        }
        found.extend(page);
    }
}

/// Names the first difference only: the lists are long.
#[track_caller]
fn assert_listed(found: &[StoredRecord], expected: &[&Record], context: &str) {
    let json = |record: &Record| serde_json::to_string(record).expect("a record is always JSON");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(json(&found.processed.record), json(expected), "in place {place}, {context}");
    }
    assert_eq!(found.len(), expected.len(), "how many are listed, {context}");
}

/// Returns a filter whose conditions are taken from the records. The bits of `round` choose the conditions, so 128
/// rounds cover every combination.
pub(super) fn random_filter(generator: &mut Generator, records: &[Record], round: usize) -> Filter {
    // A single record's values would find it alone; each condition has a record of its own.
    let mut wanted = |bit: usize| (round & (1 << bit) != 0).then(|| generator.pick(records).clone());
    let mut filter = Filter {
        destination_id: wanted(0).map(|record| record.destination_id),
        unit: wanted(1).map(|record| record.unit),
        record_type: wanted(2).map(|record| record.record_type),
        start: wanted(3).map(|record| record.time),
        source_id: wanted(4).map(|record| record.source_id),
        reference: wanted(5).map(|record| record.reference),
        end: wanted(6).map(|record| record.time),
    };
    if let (Some(start), Some(end)) = (filter.start, filter.end) {
        (filter.start, filter.end) = (Some(start.min(end)), Some(start.max(end)));
    }
    filter
}

/// Matches one record by its JSON, independently of [`Filter::matches`].
pub(super) fn matches(filter: &Filter, record: &Record) -> bool {
    let json = serde_json::to_value(record).expect("a record is always JSON");
    let conditions = [
        ("destinationId", filter.destination_id.as_ref().map(DestinationId::as_str)),
        ("sourceId", filter.source_id.as_ref().map(SourceId::as_str)),
        ("reference", filter.reference.as_ref().map(Reference::as_str)),
        ("unit", filter.unit.as_ref().map(Unit::as_str)),
        ("type", filter.record_type.map(RecordType::name)),
    ];
    conditions.iter().all(|(field, wanted)| wanted.is_none_or(|wanted| json[field] == wanted))
        && filter.start.is_none_or(|start| start <= record.time)
        && filter.end.is_none_or(|end| record.time < end)
}
