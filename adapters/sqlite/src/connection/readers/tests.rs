//! Readers take turns, and heal.

use std::time::Duration;
use tallyhouse_core::GroupQuery;
use tallyhouse_core::ports::{RecordReader as _, RecordRepository};

use futures::StreamExt;

use super::*;
use crate::test_support::{Database, batch, commit, fill, simple};

fn every_record() -> GroupQuery {
    GroupQuery { records: true, ..GroupQuery::default() }
}

#[tokio::test]
async fn a_stream_that_is_left_early_gives_its_turn_back() {
    let database = Database::new();
    let repository = database.repository_with(SqliteSettings { streams: 1, ..database.settings() }).await;
    fill(&repository, 20_000).await;
    for _ in 0..20 {
        let mut groups = repository.groups(every_record()).await.unwrap();
        assert!(groups.parts.next().await.unwrap().is_ok());
    }
    let mut audit = repository.audit().await.unwrap();
    assert!(audit.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn streams_that_stall_are_in_nobodys_way() {
    let database = Database::new();
    let settings = SqliteSettings { streams: 2, readers: 1, ..database.settings() };
    let repository = database.repository_with(settings).await;
    fill(&repository, 20_000).await;
    let mut stalled =
        [repository.groups(every_record()).await.unwrap(), repository.groups(every_record()).await.unwrap()];
    // Questions and commits go on.
    commit(&repository, [simple("later")]).await;
    assert_eq!(repository.head().await.unwrap(), 20_001);
    // A third stream waits for its turn, and then is told so.
    let (third, ()) = tokio::join!(repository.groups(every_record()), async {
        database.clock.until_sleeping(1).await;
        database.clock.advance(Duration::from_secs(60));
    });
    assert_eq!(third.unwrap_err().kind(), PortErrorKind::Unavailable);
    // What stalled shows its own snapshot to the end.
    for groups in &mut stalled {
        let mut records = 0;
        while let Some(part) = groups.parts.next().await {
            match part.unwrap() {
                tallyhouse_core::ports::GroupPart::Group(_, summary) => records += summary.count(),
                tallyhouse_core::ports::GroupPart::Records(_) => {}
            }
        }
        assert_eq!(records, 20_000);
    }
}

#[tokio::test]
async fn readers_heal_when_the_file_is_back() {
    let database = Database::new();
    let repository = database
        .repository_with(SqliteSettings { reader_wait: Duration::from_millis(200), ..database.settings() })
        .await;
    let away = database.path().with_extension("away");
    std::fs::rename(database.path(), &away).unwrap();
    assert_eq!(repository.ping().await.unwrap_err().kind(), PortErrorKind::Unavailable);
    std::fs::rename(&away, database.path()).unwrap();
    repository.ping().await.unwrap();
    repository.commit(batch([simple("a")])).await.unwrap();
    assert_eq!(repository.head().await.unwrap(), 1);
}
