//! Queries: their indexes, their pages, and rows that make no sense.

use diesel::connection::SimpleConnection;
use tallyhouse_core::ports::{PortErrorKind, RecordReader as _};
use tallyhouse_core::{DestinationId, Timestamp, Unit};

use super::*;
use crate::read::groups::{by_destination, one_group};
use crate::test_support::{Database, commit, fill, plan, simple};

fn destination() -> DestinationId {
    DestinationId::new("destination-7").unwrap()
}

/// Conditions on `time` and on what is in no index.
fn in_time() -> Filter {
    let (start, end) = (Timestamp::parse("2026-03-01T06:00:00Z").ok(), Timestamp::parse("2026-03-02T06:00:00Z").ok());
    Filter { start, end, unit: Unit::new("EUR").ok(), ..Filter::default() }
}

fn page(filter: Filter, after: bool) -> RecordQuery {
    let after = after.then(|| (Timestamp::parse("2026-03-01T12:00:00Z").unwrap(), RecordId::new("r-5").unwrap()));
    RecordQuery { filter, after, limit: 100, ..RecordQuery::default() }
}

/// Every query goes straight to its rows by an index, and in the order in which they are wanted.
#[tokio::test]
async fn every_query_uses_an_index_on_a_filled_table() {
    let database = Database::new();
    fill(&database.repository().await, 5_000).await;
    let db = &mut database.connection();
    let of_one = Filter { destination_id: Some(destination()), ..in_time() };
    let history = |alerting_only| HistoryQuery { after: 100, alerting_only, limit: 100 };
    // SQLite's own statistics, should an operator have them collected, change nothing.
    for statistics in ["", "ANALYZE"] {
        db.batch_execute(statistics).unwrap();
        let plans = [
            (plan(db, &find_query("r-17")), "USING INDEX sqlite_autoindex_records_1 (record_id=?)"),
            (plan(db, &records_query(&page(Filter::default(), false))), "SCAN records USING INDEX records_by_time"),
            (plan(db, &records_query(&page(in_time(), false))), "INDEX records_by_time (time>? AND time<?)"),
            (
                plan(db, &records_query(&page(in_time(), true))),
                "INDEX records_by_time ((time,record_id)>(?,?) AND time<?)",
            ),
            (
                plan(db, &records_query(&page(of_one.clone(), false))),
                "INDEX records_by_destination (destination_id=? AND time>? AND time<?)",
            ),
            (
                plan(db, &records_query(&page(of_one.clone(), true))),
                "INDEX records_by_destination (destination_id=? AND (time,record_id)>(?,?) AND time<?)",
            ),
            (
                plan(db, &records_query(&RecordQuery { order: RecordOrder::NewestFirst, ..page(in_time(), true) })),
                "INDEX records_by_time (time>? AND (time,record_id)<(?,?))",
            ),
            (
                plan(
                    db,
                    &records_query(&RecordQuery {
                        alerting: Some(Alerting::Rule("large".to_owned())),
                        order: RecordOrder::NewestFirst,
                        ..page(Filter::default(), false)
                    }),
                ),
                "SCAN records USING INDEX records_alerting_by_time",
            ),
            (plan(db, &by_destination(&in_time(), None)), "SCAN records USING INDEX records_by_destination"),
            (
                plan(db, &by_destination(&in_time(), Some("destination-3"))),
                "INDEX records_by_destination (destination_id>?)",
            ),
            (
                plan(db, &by_destination(&of_one, Some("destination-3"))),
                "INDEX records_by_destination (destination_id=?)",
            ),
            (
                plan(db, &one_group(&in_time(), &destination())),
                "INDEX records_by_destination (destination_id=? AND time>? AND time<?)",
            ),
            (plan(db, &history_query(history(false))), "USING INTEGER PRIMARY KEY (rowid>?)"),
            (plan(db, &history_query(history(true))), "USING INDEX records_alerting (position>?)"),
        ];
        for (found, expected) in plans {
            assert!(found.contains(expected) && !found.contains("TEMP B-TREE"), "{found}, expected {expected}");
        }
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_and_not_left_out() {
    let columns = [
        "time = 999999999999999999",
        "processed_at = -999999999999999999",
        "type = 'neutral'",
        "value = '-1'",
        "unit = ''",
        "sequence = 0",
        "previous = '[]'",
        "alerts = '{}'",
        "source_id = char(7)",
    ];
    for column in columns {
        let database = Database::new();
        let repository = database.repository().await;
        commit(&repository, [simple("a"), simple("b"), simple("c")]).await;
        database.spoil(&format!("UPDATE records SET {column} WHERE position = 2"));
        let found = repository.find(&RecordId::new("b").unwrap()).await.map(drop);
        let history = repository.history(HistoryQuery { after: 0, alerting_only: false, limit: 9 }).await.map(drop);
        let records = repository.records(page(Filter::default(), false)).await.map(drop);
        for answer in [found, history, records] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Corrupt, "{column}");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.starts_with("table records, position 2: "), "{cause}");
        }
        assert!(repository.find(&RecordId::new("c").unwrap()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn pages_after_the_start_of_the_filter_and_before_it_are_the_same_records() {
    let database = Database::new();
    let repository = database.repository().await;
    fill(&repository, 500).await;
    let all = repository.records(page(in_time(), false)).await.unwrap().rows;
    let middle = &all[all.len() / 2].processed.record;
    let after = Some((middle.time, middle.record_id.clone()));
    let late = repository.records(RecordQuery { after, ..page(in_time(), false) }).await.unwrap().rows;
    assert_eq!(late[..], all[all.len() / 2 + 1..][..late.len()]);
    let before = Some((Timestamp::MIN, RecordId::new("r-0").unwrap()));
    let read = repository.records(RecordQuery { after: before, ..page(in_time(), false) }).await.unwrap();
    assert_eq!(read.rows, all);
}
