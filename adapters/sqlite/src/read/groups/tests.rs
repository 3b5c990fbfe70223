//! Groups: exact sums, pages, and rows that make no sense.

use futures::TryStreamExt;
use tallyhouse_core::ports::{PAGE_WEIGHT_MAX, PortErrorKind, RecordReader as _};
use tallyhouse_core::{Filter, Timestamp};
use tallyhouse_testing::generate::record;

use super::*;
use crate::repository::SqliteRepository;
use crate::test_support::{Database, commit};

async fn read(repository: &SqliteRepository, query: GroupQuery) -> Vec<GroupPart> {
    repository.groups(query).await.unwrap().parts.try_collect().await.unwrap()
}

/// Each group as its destination, its count and the sizes of the parts of its records.
fn shape(parts: &[GroupPart]) -> Vec<(String, u64, Vec<usize>)> {
    let mut shape = Vec::new();
    for part in parts {
        match part {
            GroupPart::Group(id, summary) => shape.push((id.to_string(), summary.count(), Vec::new())),
            GroupPart::Records(records) => shape.last_mut().unwrap().2.push(records.len()),
        }
    }
    shape
}

#[tokio::test]
async fn groups_that_just_fit_and_that_do_not_are_told_apart() {
    let database = Database::new();
    let repository = database.repository().await;
    let sizes = [("a", 1), ("b", PART_RECORDS), ("c", PART_RECORDS + 1), ("d", 3 * PART_RECORDS), ("e", 2)];
    for (id, size) in sizes {
        commit(&repository, (0..size).map(|n| record(&format!("{id}-{n:05}"), id, "", "1.50", "EUR"))).await;
    }
    let parts = read(&repository, GroupQuery { records: true, ..GroupQuery::default() }).await;
    let half = PART_RECORDS;
    let expected = [
        ("a", 1, vec![1]),
        ("b", half as u64, vec![half]),
        ("c", half as u64 + 1, vec![half, 1]),
        ("d", 3 * half as u64, vec![half; 3]),
        ("e", 2, vec![2]),
    ];
    assert_eq!(shape(&parts), expected.map(|(id, count, parts)| (id.to_owned(), count, parts)));
    let mut ids = Vec::new();
    for part in &parts {
        if let GroupPart::Records(records) = part {
            ids.extend(records.iter().map(|processed| processed.record.record_id.to_string()));
        }
    }
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(ids, sorted);
    let totals = read(&repository, GroupQuery::default()).await;
    let groups: Vec<_> = parts.into_iter().filter(|part| matches!(part, GroupPart::Group(..))).collect();
    assert_eq!(totals, groups);
}

#[tokio::test]
async fn sums_are_exact_far_beyond_a_float_and_a_decimal() {
    let database = Database::new();
    let repository = database.repository().await;
    let large = "9999999999999999999999999999";
    let small = "0.0000000000000000000000000001";
    commit(&repository, (0..20).map(|n| record(&format!("l{n}"), "D", "", large, "EUR"))).await;
    commit(&repository, (0..20).map(|n| record(&format!("s{n}"), "D", "", small, "EUR"))).await;
    let parts = read(&repository, GroupQuery::default()).await;
    let [GroupPart::Group(_, summary)] = &parts[..] else { unreachable!("there is one group: {parts:?}") };
    let sum = summary.totals()[0].positive.sum.to_string();
    assert_eq!(sum, "199999999999999999999999999980.0000000000000000000000000020");
}

#[tokio::test]
async fn a_page_ends_where_it_must_also_when_its_filter_skips_groups() {
    let database = Database::new();
    let repository = database.repository().await;
    let units = ["EUR", "USD", "EUR", "EUR", "USD", "EUR"];
    commit(
        &repository,
        units.iter().enumerate().map(|(n, unit)| record(&format!("{n}"), &format!("d{n}"), "", "1", unit)),
    )
    .await;
    let filter =
        Filter { unit: tallyhouse_core::Unit::new("EUR").ok(), end: Some(Timestamp::MAX), ..Filter::default() };
    let page = |limit, after: Option<&str>| GroupQuery {
        filter: filter.clone(),
        after: after.map(|id| DestinationId::new(id).unwrap()),
        limit: Some(limit),
        records: true,
    };
    for (limit, after, expected, next) in [
        (2, None, vec!["d0", "d2"], Some("d2")),
        (2, Some("d2"), vec!["d3", "d5"], None),
        (4, None, vec!["d0", "d2", "d3", "d5"], None),
        (9, Some("d3"), vec!["d5"], None),
        (1, Some("d5"), vec![], None),
        (0, None, vec![], None),
    ] {
        let groups = repository.groups(page(limit, after)).await.unwrap();
        assert_eq!(groups.next.as_ref().map(DestinationId::as_str), next, "{limit} after {after:?}");
        let parts: Vec<GroupPart> = groups.parts.try_collect().await.unwrap();
        let found: Vec<String> = shape(&parts).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(found, expected, "{limit} after {after:?}");
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_ends_the_answer_with_an_error() {
    for records in [false, true] {
        let database = Database::new();
        let repository = database.repository().await;
        commit(&repository, ["a", "b", "c"].map(|id| record(id, id, "", "1", "EUR"))).await;
        database.spoil("UPDATE records SET value = 'much' WHERE record_id = 'b'");
        let groups = repository.groups(GroupQuery { records, ..GroupQuery::default() }).await.unwrap();
        let error = groups.parts.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_page_of_heavy_totals_holds_a_part_of_them_and_has_them_all() {
    let heavy = || -> Summary {
        (0..100).map(|unit| record("r", "D", "", "1", &format!("{unit:𝄞>64}"))).collect::<Vec<_>>().iter().collect()
    };
    let destination = |n: usize| DestinationId::new(&format!("D{n:05}")).unwrap();
    let (parts, stream) = crate::connection::blocking_stream::channel("a test");
    let reading = std::thread::spawn(move || {
        let mut page = TotalsPage::begin(&parts, Some(1_000)).unwrap();
        for n in 0..1_000 {
            assert!(!page.is_full());
            page.add((destination(n), heavy())).unwrap();
            let held: usize = page.buffered.as_ref().unwrap().rows().iter().map(|(_, summary)| summary.weight()).sum();
            assert!(held < PAGE_WEIGHT_MAX + heavy().weight(), "{held} bytes are held");
        }
        assert!(page.is_full());
        let overflow = page.end(true).unwrap().unwrap();
        let mut rest = TotalsPage::resume(&parts, overflow.groups);
        for n in 1_000 - overflow.groups..1_000 {
            assert!(destination(n) > overflow.after);
            rest.add((destination(n), heavy())).unwrap();
        }
        assert!(rest.is_full() && rest.end(true).unwrap().is_none());
        parts.end(Ok(()), "a test");
    });
    let items: Vec<Item> = stream.try_collect().await.unwrap();
    reading.join().unwrap();
    let found: Vec<&DestinationId> = items
        .iter()
        .filter_map(|item| match item {
            Item::Part(GroupPart::Group(destination_id, _)) => Some(destination_id),
            Item::Part(GroupPart::Records(_)) | Item::Next(_) => None,
        })
        .collect();
    assert!(matches!(&items[0], Item::Next(Some(last)) if *last == destination(999)));
    assert!(found.into_iter().eq(&(0..1_000).map(destination).collect::<Vec<_>>()));
}
