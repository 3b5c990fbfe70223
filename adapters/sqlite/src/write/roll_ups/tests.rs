//! When records are rolled up, and how unreadable roll-ups are handled.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::RecordReader as _;

use futures::TryStreamExt as _;
use tallyhouse_core::ports::GroupPart;
use tallyhouse_core::{Filter, GroupQuery};

use super::*;
use crate::repository::SqliteRepository;
use crate::test_support::{Database, commit, fill, simple};

/// Waits until so many records are rolled up.
async fn until_rolled_up(database: &Database, records: i64) {
    let begun = Instant::now();
    while position(&mut database.connection()).unwrap() != records {
        assert!(begun.elapsed() < Duration::from_secs(60), "the records were not rolled up in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn totals(repository: &SqliteRepository, filter: Filter) -> Result<Vec<GroupPart>, PortError> {
    repository.groups(GroupQuery { filter, ..GroupQuery::default() }).await?.parts.try_collect().await
}

#[tokio::test]
async fn enough_records_are_rolled_up_in_the_background() {
    let database = Database::new();
    let repository = database.repository().await;
    fill(&repository, 1_000).await;
    assert_eq!(position(&mut database.connection()).unwrap(), 0, "too few to be worth it");
    let before = totals(&repository, Filter::default()).await.unwrap();
    assert_eq!(repository.roll_up().await.unwrap(), 1_000);
    assert_eq!(totals(&repository, Filter::default()).await.unwrap(), before);
    let many: Vec<_> = (0..RollUpSchedule::ENOUGH).map(|n| simple(&format!("more-{n}"))).collect();
    commit(&repository, many).await;
    until_rolled_up(&database, 1_000 + i64::try_from(RollUpSchedule::ENOUGH).unwrap()).await;
}

#[tokio::test]
async fn records_of_another_process_are_rolled_up_when_a_query_finds_them() {
    let database = Database::new();
    let records = i64::try_from(RollUpSchedule::ENOUGH).unwrap();
    {
        let one = database.repository().await;
        for half in 0..2 {
            commit(&one, (0..RollUpSchedule::ENOUGH / 2).map(|n| simple(&format!("{half}-{n}")))).await;
        }
        until_rolled_up(&database, records).await;
    }
    database.spoil("DELETE FROM roll_ups; UPDATE roll_up_position SET position = 0");
    let another = database.repository().await;
    totals(&another, Filter::default()).await.unwrap();
    until_rolled_up(&database, records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_roll_up_at_once_count_each_record_once() {
    let database = Database::new();
    let (one, other) = (database.repository().await, database.repository().await);
    fill(&one, 3_000).await;
    let before = totals(&one, Filter::default()).await.unwrap();
    tokio::try_join!(one.roll_up(), other.roll_up(), one.roll_up(), other.roll_up()).unwrap();
    assert_eq!(position(&mut database.connection()).unwrap(), 3_000);
    assert_eq!(totals(&other, Filter::default()).await.unwrap(), before);
}

#[tokio::test]
async fn an_unreadable_roll_up_is_neither_added_to_nor_returned() {
    let database = Database::new();
    let repository = database.repository().await;
    commit(&repository, [simple("a")]).await;
    repository.roll_up().await.unwrap();
    database.spoil("UPDATE roll_ups SET sum = 'many'");
    assert_eq!(totals(&repository, Filter::default()).await.unwrap_err().kind(), PortErrorKind::Corrupt);
    commit(&repository, [simple("b")]).await;
    assert_eq!(repository.roll_up().await.unwrap_err().kind(), PortErrorKind::Refused);
    assert_eq!(position(&mut database.connection()).unwrap(), 1, "nothing was rolled up");
}

/// Returns how many records a process has counted since the last roll-up.
fn counted(repository: &SqliteRepository) -> Option<u64> {
    repository.roll_ups.state.counted().as_ref().map(|totals| totals.records)
}

#[tokio::test]
async fn a_process_counts_its_own_records_and_reads_only_those_of_others() {
    let database = Database::new();
    let (one, other) = (database.repository().await, database.repository().await);
    commit(&one, [simple("a")]).await;
    assert_eq!((counted(&one), one.roll_up().await.unwrap()), (Some(1), 1));
    commit(&one, [simple("b"), simple("c")]).await;
    assert_eq!((counted(&one), one.roll_up().await.unwrap(), counted(&one)), (Some(2), 2, Some(0)));
    // Each record is rolled up by one process only.
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
