//! Groups: one snapshot, whose totals are exactly those of the records in it.

use std::collections::{BTreeMap, BTreeSet};
use tallyhouse_core::ports::{GroupPart, PAGE_WEIGHT_MAX, Store};
use tallyhouse_core::{DestinationId, Filter, GroupQuery, ProcessedRecord, Record, SourceId, Summary, Timestamp};

use futures::{StreamExt, TryStreamExt};

use super::consistency::assert_consistent;
use super::queries::{matches, random_filter};
use super::{RepositoryFixture, commit_records, moment};
use crate::conformance::yield_now;
use crate::doubles::generate::{Generator, record};

/// Groups come by the bytes of the destination, in any case and alphabet; a group has all references.
pub async fn groups_come_by_destination_in_byte_order<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let destinations = ["b", "B", "a", "ab", "a b", "é", "e\u{301}", "Z", "10", "9", "𝄞", "\u{fffd}", "%", "_"];
    for reference in ["", "R"] {
        let records = destinations
            .map(|destination| record(&format!("{destination}{reference}"), destination, reference, "1", "EUR"));
        commit_records(&*repository, records).await;
    }
    let groups = read_all(&*repository, GroupQuery { records: true, ..GroupQuery::default() }).await;
    let found: Vec<&str> = groups.iter().map(|(destination_id, _)| destination_id.as_str()).collect();
    let expected: BTreeSet<&str> = destinations.into_iter().collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    for (destination_id, (summary, records)) in groups {
        assert_eq!((summary.count(), records.len()), (2, 2), "{destination_id}");
    }
}

/// For any filter: the groups are those of the matching records, each lists exactly these by time and id, and its
/// totals are exactly theirs; without the records, the totals are the same.
pub async fn totals_are_those_of_the_records_listed<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut generator = Generator::new(23);
    let records = generator.records("r", 600);
    let mut stored = BTreeMap::new();
    for records in records.chunks(150) {
        for outcome in commit_records(&*repository, records.to_vec()).await {
            let processed = super::processed(&outcome).processed.clone();
            stored.insert((processed.record.time, processed.record.record_id.clone()), processed);
        }
    }
    for round in 0..90 {
        let filter = random_filter(&mut generator, &records, round);
        let mut expected = BTreeMap::<DestinationId, Vec<ProcessedRecord>>::new();
        for processed in stored.values().filter(|processed| matches(&filter, &processed.record)) {
            expected.entry(processed.record.destination_id.clone()).or_default().push(processed.clone());
        }
        let with_records = GroupQuery { filter: filter.clone(), records: true, ..GroupQuery::default() };
        let groups = read_all(&*repository, with_records).await;
        assert!(groups.iter().map(|(id, _)| id).eq(expected.keys()), "{filter:?}");
        for ((destination_id, (summary, records)), expected) in groups.iter().zip(expected.values()) {
            assert_eq!(exact(records), exact(expected), "{destination_id}: {filter:?}");
            let sum: Summary = records.iter().map(|processed| &processed.record).collect();
            assert_eq!(*summary, sum, "{destination_id}: {filter:?}");
        }
        let totals = read_all(&*repository, GroupQuery { filter, ..GroupQuery::default() }).await;
        let expected: Vec<_> = groups.into_iter().map(|(id, (summary, _))| (id, (summary, Vec::new()))).collect();
        assert_eq!(totals, expected, "without the records");
    }
}

/// Totals are exact for records over a hundred days, of which the store may have rolled up all, none, or those of the
/// first commits; for bounds within days and between them.
pub async fn totals_are_exact_however_much_is_rolled_up<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut generator = Generator::new(41).over(12, 3);
    let mut records = generator.records("r", 800);
    let day = |micros: i64| micros - micros.rem_euclid(86_400_000_000);
    let spread = |time: Timestamp, by: i64| {
        let since = time.as_micros() - moment(0).as_micros();
        Timestamp::from_micros(moment(0).as_micros() + since * by).expect("a hundred days do not leave the years")
    };
    for record in &mut records {
        record.time = spread(record.time, 50);
    }
    for (n, chunk) in records.chunks(200).enumerate() {
        commit_records(&*repository, chunk.to_vec()).await;
        if n % 2 == 1 {
            assert_totals(&*repository, &records[..200 * (n + 1)], &mut generator, &day).await;
        }
        if n < 3 {
            fixture.run_background_work().await;
        }
    }
    assert_totals(&*repository, &records, &mut generator, &day).await;
    fixture.run_background_work().await;
    assert_totals(&*repository, &records, &mut generator, &day).await;
}

async fn assert_totals(
    repository: &dyn Store,
    records: &[Record],
    generator: &mut Generator,
    day: &(dyn Fn(i64) -> i64 + Sync),
) {
    for round in 0..128 {
        let mut filter = random_filter(generator, records, round);
        if generator.once_in(2) {
            let bounds = [&mut filter.start, &mut filter.end];
            bounds.into_iter().flatten().for_each(|bound| {
                *bound = Timestamp::from_micros(day(bound.as_micros())).expect("a day is in the years");
            });
        }
        let mut expected = BTreeMap::<DestinationId, Summary>::new();
        for record in records.iter().filter(|record| matches(&filter, record)) {
            expected.entry(record.destination_id.clone()).or_default().add(record);
        }
        let expected: Vec<_> = expected.into_iter().map(|(id, summary)| (id, (summary, Vec::new()))).collect();
        let totals = read_all(repository, GroupQuery { filter: filter.clone(), ..GroupQuery::default() }).await;
        assert_eq!(totals, expected, "{filter:?}");
        let page = GroupQuery { filter: filter.clone(), limit: Some(5), ..GroupQuery::default() };
        let (parts, next) = read_groups(repository, page).await;
        assert_eq!(gather(parts), expected[..expected.len().min(5)], "the first page: {filter:?}");
        assert_eq!(next.as_ref(), (expected.len() > 5).then(|| &expected[4].0), "{filter:?}");
    }
}

/// `limit` counts groups; `next` is the last group of a page where there are more.
pub async fn groups_page_by_destination<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut records = Vec::new();
    for n in 0..10 {
        // The filter leaves out every other group, which then counts for nothing.
        let unit = ["EUR", "other"][n % 2];
        records.extend((0..3).map(|i| record(&format!("{n}-{i}"), &format!("D{n}"), "", "1", unit)));
    }
    commit_records(&*repository, records).await;
    let unit = Some(tallyhouse_core::Unit::new("EUR").expect("a valid unit"));
    let filter = Filter { unit, ..Filter::default() };
    for (limit, pages) in [(1, 5), (2, 3), (5, 1), (6, 1)] {
        let (mut found, mut after, mut turned) = (Vec::new(), None, 0);
        loop {
            let query = GroupQuery { filter: filter.clone(), after, limit: Some(limit), records: turned % 2 == 0 };
            let (parts, next) = read_groups(&*repository, query).await;
            let page: Vec<String> = gather(parts).into_iter().map(|(id, _)| id.to_string()).collect();
            assert!(page.len() <= limit, "no more than asked for");
            assert!(next.is_none() || next.as_ref().map(DestinationId::as_str) == page.last().map(String::as_str));
            found.extend(page);
            turned += 1;
            assert!(turned <= pages, "a page goes on where the one before ended");
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["D0", "D2", "D4", "D6", "D8"], "in pages of {limit}");
        assert_eq!(turned, pages, "in pages of {limit}");
    }
    let after = DestinationId::new("D8").expect("a valid destination");
    let query = GroupQuery { filter, after: Some(after), limit: Some(1), records: true };
    assert_eq!(read_groups(&*repository, query).await, (Vec::new(), None));
}

/// A page has as many groups as were asked for, however heavy their totals are, and the next one goes on behind it;
/// however much is rolled up, and where the totals come from the records.
pub async fn pages_of_heavy_totals_have_as_many_groups_as_asked_for<F: RepositoryFixture>() {
    const DESTINATIONS: usize = 200;
    const LIMIT: usize = 150;
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let destinations: Vec<String> = (0..DESTINATIONS).map(|n| format!("D{n:03}")).collect();
    for (n, destination) in destinations.iter().enumerate() {
        // The names of a key's units have 8 KiB together.
        let of = |unit: usize| {
            let (id, reference) = (format!("{n}-{unit}"), (unit / 32).to_string());
            record(&id, destination, &reference, "1", &format!("{unit:𝄞>64}"))
        };
        commit_records(&*repository, (0..100).map(of)).await;
        if n == DESTINATIONS / 2 {
            fixture.run_background_work().await;
        }
    }
    let source_id = Some(SourceId::new("source").expect("a valid source"));
    for filter in [Filter::default(), Filter { source_id, ..Filter::default() }] {
        let (mut found, mut after) = (Vec::new(), None);
        for expected in [LIMIT, DESTINATIONS - LIMIT] {
            let query = GroupQuery { filter: filter.clone(), after, limit: Some(LIMIT), records: false };
            let (parts, next) = read_groups(&*repository, query).await;
            let page = gather(parts);
            assert_eq!(page.len(), expected, "{filter:?}");
            assert!(page.iter().all(|(_, (summary, _))| summary.totals().len() == 100), "totals are whole");
            let weight: usize = page.iter().map(|(_, (summary, _))| summary.weight()).sum();
            assert!(expected < LIMIT || weight > PAGE_WEIGHT_MAX, "the totals are heavy: {weight}");
            found.extend(page.into_iter().map(|(destination_id, _)| destination_id.to_string()));
            after = next;
        }
        assert_eq!((found, after), (destinations.clone(), None), "{filter:?}");
    }
}

/// What is committed while an answer is being read does not appear in it, not even in part.
pub async fn an_answer_is_one_snapshot_while_a_writer_goes_on<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (reader, writer) = (fixture.handle().await, fixture.handle().await);
    let mut generator = Generator::new(31).over(40, 2);
    commit_records(&*writer, generator.records("before", 6_000)).await;
    for records in [true, false] {
        let head = reader.head().await.expect("the head is read");
        let mut groups =
            reader.groups(GroupQuery { records, ..GroupQuery::default() }).await.expect("groups are read").parts;
        let mut parts = Vec::new();
        let mut round = 0;
        while let Some(part) = groups.next().await {
            parts.push(part.expect("a part is read"));
            if round < 12 {
                // Into groups that were read, into those to come, and into new ones.
                let mut more = generator.records(&format!("during-{records}-{round}"), 20);
                more.push(record(&format!("new-{records}-{round}"), &format!("new-{round}"), "", "1", "EUR"));
                commit_records(&*writer, more).await;
            }
            round += 1;
        }
        let groups = gather(parts);
        assert_eq!(groups.iter().map(|(_, (summary, _))| summary.count()).sum::<u64>(), head, "records: {records}");
        for (destination_id, (summary, listed)) in groups.iter().filter(|_| records) {
            let sum: Summary = listed.iter().map(|processed| &processed.record).collect();
            assert_eq!(*summary, sum, "{destination_id}");
        }
    }
    assert_consistent(&*reader).await;
}

/// A reader may drop its answer at any time: no connection stays occupied.
pub async fn dropping_an_answer_early_leaves_the_store_usable<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    commit_records(&*repository, Generator::new(37).over(50, 2).records("r", 5_000)).await;
    for round in 0..40 {
        let query = GroupQuery { records: round % 2 == 0, ..GroupQuery::default() };
        let mut groups = repository.groups(query).await.expect("groups are read");
        for _ in 0..round % 4 {
            groups.parts.next().await.expect("there are more parts").expect("a part is read");
        }
        drop(groups);
        drop(repository.audit().await.expect("the audit begins"));
        yield_now().await;
    }
    commit_records(&*repository, [record("after", "D", "", "1", "EUR")]).await;
    assert_eq!(assert_consistent(&*repository).await.len(), 5_001);
}

/// Reads an answer to its end.
pub(super) async fn read_groups(repository: &dyn Store, query: GroupQuery) -> (Vec<GroupPart>, Option<DestinationId>) {
    let groups = repository.groups(query).await.expect("groups are read");
    (groups.parts.try_collect().await.expect("the answer is read to its end"), groups.next)
}

type Gathered = Vec<(DestinationId, (Summary, Vec<ProcessedRecord>))>;

async fn read_all(repository: &dyn Store, query: GroupQuery) -> Gathered {
    let (parts, next) = read_groups(repository, query).await;
    assert_eq!(next, None, "without a limit there is no more");
    gather(parts)
}

/// Puts each group's records behind it.
fn gather(parts: Vec<GroupPart>) -> Gathered {
    let mut groups = Gathered::new();
    for part in parts {
        match part {
            GroupPart::Group(destination_id, summary) => {
                assert!(summary.count() > 0, "a group without records is none: {destination_id}");
                groups.push((destination_id, (summary, Vec::new())));
            }
            GroupPart::Records(records) => {
                let (destination_id, (_, listed)) = groups.last_mut().expect("records come behind their group");
                assert!(records.iter().all(|processed| processed.record.destination_id == *destination_id));
                listed.extend(records);
            }
        }
    }
    groups
}

/// The records as text: `==` equates 1.0 and 1.00.
fn exact(records: &[ProcessedRecord]) -> String {
    serde_json::to_string(records).expect("records are always JSON")
}
