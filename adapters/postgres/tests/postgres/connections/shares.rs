//! The pools: reads never delay commits, nor the service's own statements.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::{ClaimScope, Outbox as _, Owner, PortErrorKind, RecordReader as _, RecordRepository};
use tallyhouse_core::{GroupQuery, RecordId};

use diesel::connection::SimpleConnection;
use futures::StreamExt;
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};

use crate::support::{commit, connect, database, record, records, settings};

/// Blocked reads wait two seconds for a connection. Calls that are not delayed by them return sooner.
const UNHINDERED: Duration = Duration::from_millis(1_500);

async fn few_connections() -> (PostgresRepository, String) {
    let url = database().await;
    let few = PostgresSettings { writers: 1, readers: 1, streams: 1, ..settings(&url) };
    (PostgresRepository::new(few), url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_keeps_no_commit_waiting() {
    let (repository, _) = few_connections().await;
    commit(&repository, records("r", 5_000, 20)).await;
    let everything = || GroupQuery { records: true, ..GroupQuery::default() };
    let mut held = repository.groups(everything()).await.unwrap().parts;
    assert!(held.next().await.unwrap().is_ok());
    let refused = repository.groups(everything()).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), PortErrorKind::Unavailable, "the only connection is held");

    let began = Instant::now();
    commit(&repository, [record("beside", "d", "")]).await;
    assert!(repository.find(&RecordId::new("beside").unwrap()).await.unwrap().is_some());
    assert!(began.elapsed() < UNHINDERED, "{:?}", began.elapsed());
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_stuck_keep_no_question_of_the_service_itself_waiting() {
    let (repository, url) = few_connections().await;
    commit(&repository, [record("r", "d", "")]).await;
    let mut other = connect(&url);
    other.batch_execute("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE").unwrap();
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let repository = repository.clone();
            tokio::spawn(async move { repository.find(&RecordId::new("r").unwrap()).await })
        })
        .collect();
    // All but one are told that the only connection is taken: that one is stuck for sure.
    let mut refused = 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while refused < 7 {
        refused = stuck.iter().filter(|read| read.is_finished()).count();
        assert!(Instant::now() < deadline, "{refused} reads were refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let (owner, began) = (Owner::new("me"), Instant::now());
    repository.ping().await.unwrap();
    repository.renew(&owner, Duration::from_secs(10)).await.unwrap();
    assert_eq!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap(), []);
    repository.backlog().await.unwrap();
    assert!(began.elapsed() < UNHINDERED, "{:?}", began.elapsed());
    other.batch_execute("ROLLBACK").unwrap();
    let mut found = 0;
    for read in stuck {
        found += usize::from(matches!(read.await.unwrap(), Ok(Some(_))));
    }
    assert_eq!(found, 1);
}
