//! When records are folded, and what is done about roll-ups that make no sense.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::RecordReader as _;

use futures::TryStreamExt as _;

use super::*;
use crate::repository::SqliteRepository;
use crate::support::{Database, commit, fill, plan, simple};

/// Waits until so many records are folded.
async fn until_folded(database: &Database, records: i64) {
    let begun = Instant::now();
    while position(&mut database.connection()).unwrap() != records {
        assert!(begun.elapsed() < Duration::from_secs(60), "the records are folded some time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn totals(repository: &SqliteRepository, filter: Filter) -> Result<Vec<GroupPart>, PortError> {
    repository.groups(GroupQuery { filter, ..GroupQuery::default() }).await?.parts.try_collect().await
}

#[tokio::test]
async fn enough_records_are_folded_without_being_asked() {
    let database = Database::new();
    let repository = database.repository().await;
    fill(&repository, 1_000).await;
    assert_eq!(position(&mut database.connection()).unwrap(), 0, "too few to be worth it");
    let before = totals(&repository, Filter::default()).await.unwrap();
    assert_eq!(repository.roll_up().await.unwrap(), 1_000);
    assert_eq!(totals(&repository, Filter::default()).await.unwrap(), before);
    let many: Vec<_> = (0..RollUpSchedule::ENOUGH).map(|n| simple(&format!("more-{n}"))).collect();
    commit(&repository, many).await;
    until_folded(&database, 1_000 + i64::try_from(RollUpSchedule::ENOUGH).unwrap()).await;
}

#[tokio::test]
async fn what_another_process_has_left_is_folded_when_a_question_meets_it() {
    let database = Database::new();
    let records = i64::try_from(RollUpSchedule::ENOUGH).unwrap();
    {
        let one = database.repository().await;
        for half in 0..2 {
            commit(&one, (0..RollUpSchedule::ENOUGH / 2).map(|n| simple(&format!("{half}-{n}")))).await;
        }
        until_folded(&database, records).await;
    }
    database.spoil("DELETE FROM roll_ups; UPDATE roll_up_position SET position = 0");
    let another = database.repository().await;
    totals(&another, Filter::default()).await.unwrap();
    until_folded(&database, records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_fold_at_once_fold_each_record_once() {
    let database = Database::new();
    let (one, other) = (database.repository().await, database.repository().await);
    fill(&one, 3_000).await;
    let before = totals(&one, Filter::default()).await.unwrap();
    tokio::try_join!(one.roll_up(), other.roll_up(), one.roll_up(), other.roll_up()).unwrap();
    assert_eq!(position(&mut database.connection()).unwrap(), 3_000);
    assert_eq!(totals(&other, Filter::default()).await.unwrap(), before);
}

#[tokio::test]
async fn a_roll_up_that_makes_no_sense_is_neither_added_to_nor_answered_with() {
    let database = Database::new();
    let repository = database.repository().await;
    commit(&repository, [simple("a")]).await;
    repository.roll_up().await.unwrap();
    database.spoil("UPDATE roll_ups SET sum = 'many'");
    assert_eq!(totals(&repository, Filter::default()).await.unwrap_err().kind(), PortErrorKind::Corrupt);
    commit(&repository, [simple("b")]).await;
    assert_eq!(repository.roll_up().await.unwrap_err().kind(), PortErrorKind::Refused);
    assert_eq!(position(&mut database.connection()).unwrap(), 1, "nothing was folded");
}

#[tokio::test]
async fn totals_seek_what_they_need() {
    let database = Database::new();
    let mut db = database.connection();
    let at = |text: &str| Timestamp::parse(text).ok();
    let range = Filter { start: at("2026-01-01T12:00:00Z"), end: at("2026-06-01T12:00:00Z"), ..Filter::default() };
    let of_one = Filter { destination_id: DestinationId::new("D").ok(), ..range.clone() };
    for (filter, edges) in [(range, "records_by_time"), (of_one, "records_by_destination")] {
        let query = GroupQuery { filter, ..GroupQuery::default() };
        let cover = RollUpPlan::of(&query.filter).unwrap();
        let plan = plan(&mut db, &composed(&query, &cover, 7));
        assert!(!plan.contains("SCAN"), "{plan}");
        assert_eq!(plan.matches(edges).count(), 2, "{plan}");
        assert!(plan.contains("SEARCH records USING INTEGER PRIMARY KEY (rowid>?)"), "{plan}");
        assert_eq!(plan.matches("SEARCH roll_ups").count(), 3, "{plan}");
    }
}

/// Takes what a process has counted by itself and not folded yet.
fn counted(repository: &SqliteRepository) -> Option<u64> {
    repository.roll_ups.state.counted().as_ref().map(|folding| folding.records)
}

#[tokio::test]
async fn a_process_counts_its_own_records_and_reads_only_those_of_others() {
    let database = Database::new();
    let (one, other) = (database.repository().await, database.repository().await);
    commit(&one, [simple("a")]).await;
    assert_eq!((counted(&one), one.roll_up().await.unwrap()), (Some(1), 1));
    commit(&one, [simple("b"), simple("c")]).await;
    assert_eq!((counted(&one), one.roll_up().await.unwrap(), counted(&one)), (Some(2), 2, Some(0)));
    // What is folded by one is not folded by the other once more.
    commit(&one, [simple("d")]).await;
    assert_eq!((other.roll_up().await.unwrap(), one.roll_up().await.unwrap()), (1, 0));
    // Between its own records lie others.
    commit(&one, [simple("e")]).await;
    commit(&other, [simple("f")]).await;
    commit(&one, [simple("g")]).await;
    assert_eq!((counted(&one), one.roll_up().await.unwrap()), (None, 3));
    assert_eq!(position(&mut database.connection()).unwrap(), 7);
    let report = tallyhouse_pipeline::audit(&one).await.unwrap();
    assert_eq!((report.findings, report.records), (Vec::new(), 7));
}

#[test]
fn what_there_is_to_write_is_counted_by_days() {
    let mut folding = Folding::after(3);
    let (one, next) =
        (Timestamp::parse("2026-01-01T23:59:59Z").unwrap(), Timestamp::parse("2026-01-02T00:00:00Z").unwrap());
    let value = Value::parse("1.5").unwrap();
    let places = [("D", "EUR", one), ("D", "EUR", one), ("D", "EUR", next), ("D", "minute", one), ("E", "EUR", one)];
    for (position, (destination, unit, time)) in (4..).zip(places) {
        folding.add(position, destination, unit, RecordType::Positive, time, value);
    }
    folding.add(9, "D", "EUR", RecordType::Negative, one, value);
    assert_eq!((folding.after, folding.until, folding.records, folding.days_count), (3, 9, 6, 5));
    // Each of the five days, and 32 days and all of time of four kinds.
    let rows = folding.rows();
    assert_eq!(rows.len(), 5 + 4 + 4);
    let ever = &rows[&(0, Timestamp::MIN.as_micros(), "D", "EUR", "positive")];
    assert_eq!((ever.side.count, ever.side.sum.to_string(), ever.first, ever.last), (3, "4.5".to_owned(), one, next));
}
