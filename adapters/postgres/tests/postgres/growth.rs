//! A database that grows from nothing under the same connections keeps its plans.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::{HistoryQuery, RecordReader as _, RecordRepository};
use tallyhouse_core::{DestinationId, Filter, RecordQuery, SummaryQuery, Timestamp};
use tallyhouse_testing::Generator;

use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::support::{batch, database, settings};

const RECORDS: u64 = 200_000;
const PER_BATCH: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn no_table_is_read_as_a_whole_while_it_grows() {
    let url = database().await;
    let repository = PostgresRepository::new(PostgresSettings { writers: 1, readers: 1, ..settings(&url) });
    // Every key has a few records, so that both rows that exist and new ones are locked.
    let mut generator = Generator::new(1).over(RECORDS / 5, 1);
    for n in 0..RECORDS / PER_BATCH {
        let records = (0..PER_BATCH).map(|k| {
            generator.record(&format!("{:016x}-{n}-{k}", (n * PER_BATCH + k).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        });
        let arrivals = batch(records);
        repository.commit(arrivals).await.unwrap();
        if n % 20 == 0 {
            short_reads(&repository, n * PER_BATCH).await;
        }
    }
    short_reads(&repository, RECORDS - 50).await;

    // The statistics of a session arrive when it is idle for a second, or ends.
    drop(repository);
    let scans = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname IN \
                 ('records', 'summaries', 'batches')";
    let name = url.rsplit('/').next().unwrap();
    let inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'records'";
    let deadline = Instant::now() + Duration::from_secs(30);
    while PostgresServer::shared().psql(name, inserted).unwrap() != RECORDS.to_string() {
        assert!(Instant::now() < deadline, "the statistics do not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read: u64 = PostgresServer::shared().psql(name, scans).unwrap().parse().unwrap();
    // Before the tables have pages, a reader may as well scan them.
    assert!(read <= 5_000, "{read} rows were read by sequential scans");
}

/// Each short read of the port once, where the data is.
async fn short_reads(repository: &PostgresRepository, after: u64) {
    let page = repository.history(HistoryQuery { after, alerting_only: false, limit: 50 }).await.unwrap();
    assert_eq!(page.len(), 50);
    assert_eq!(page[0].0, after + 1);
    repository.history(HistoryQuery { after, alerting_only: true, limit: 50 }).await.unwrap();
    let record = &page[49].1.processed.record;
    assert!(repository.find(&record.record_id).await.unwrap().is_some());
    assert!(repository.head().await.unwrap() >= after + 50);
    let destination = |id: &DestinationId| Filter { destination_id: Some(id.clone()), ..Filter::default() };
    for filter in [Filter::default(), destination(&record.destination_id)] {
        let query = RecordQuery {
            filter,
            after: Some((Timestamp::MIN, record.record_id.clone())),
            limit: 50,
            ..RecordQuery::default()
        };
        assert!(!repository.records(query).await.unwrap().rows.is_empty());
    }
    let query = SummaryQuery { destination_id: record.destination_id.clone(), reference: None, after: None, limit: 50 };
    assert!(!repository.summaries(query).await.unwrap().rows.is_empty());
}
