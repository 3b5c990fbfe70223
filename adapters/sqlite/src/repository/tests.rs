//! SQLite passes the suite that every repository passes; each handle has connections of its own on the same file, as
//! another process would have them.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tallyhouse_core::ports::{
    ClaimScope, Clock, Outbox as _, Owner, PortErrorKind, RecordReader as _, RecordRepository, RuleRepository, Store,
};
use tallyhouse_core::{Outcome, RuleSet, Timestamp};
use tallyhouse_pipeline::{Pipeline, PipelineParts, PipelineSettings};
use tallyhouse_testing::RepositoryFixture;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;

use crate::test_support::{Database, batch, simple};

mod conformance {
    tallyhouse_testing::repository_conformance!(super::Database);
}

#[async_trait]
impl RepositoryFixture for Database {
    async fn fresh() -> Self {
        Self::new()
    }

    async fn handle(&self) -> Arc<dyn Store> {
        Arc::new(self.repository().await)
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::new(self.repository().await)
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }

    async fn reopen(&mut self) -> bool {
        // The case has dropped its handles, and the fixture has no connection: the next handle reopens the file.
        true
    }

    async fn run_background_work(&self) {
        self.repository().await.roll_up().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_committed_is_there_after_a_reopening() {
    let database = Database::new();
    let repository = database.repository().await;
    let committed = repository.commit(batch([simple("a"), simple("b")])).await.unwrap();
    drop(repository);
    let repository = database.repository().await;
    assert_eq!(repository.head().await.unwrap(), 2);
    assert_eq!(repository.claim(&Owner::new("me"), ClaimScope::Own, 9).await.unwrap(), [committed.entry.unwrap()]);
    let again = repository.commit(batch([simple("b")])).await.unwrap();
    assert_eq!(again.outcomes[0].name(), "duplicate");
}

#[tokio::test]
async fn leases_that_lapsed_leave_no_rows_behind() {
    let database = Database::new();
    let repository = database.repository().await;
    for name in ["a", "b", "c"] {
        repository.renew(&Owner::new(name), Duration::from_secs(10)).await.unwrap();
        database.clock.advance(Duration::from_secs(6));
    }
    repository.renew(&Owner::new("d"), Duration::from_secs(10)).await.unwrap();
    let leases = crate::sql::schema::leases::table;
    let names: Vec<String> = diesel::RunQueryDsl::load(
        diesel::QueryDsl::select(leases, crate::sql::schema::leases::owner),
        &mut database.connection(),
    )
    .unwrap();
    assert_eq!(names, ["c", "d"]);
}

#[tokio::test]
async fn a_full_disk_refuses_a_commit_and_all_is_well_when_there_is_room_again() {
    let database = Database::new();
    let repository = database.repository().await;
    repository.commit(batch([simple("before")])).await.unwrap();
    // Held by the one connection only, and so until it is reopened.
    let full = |db: &mut diesel::SqliteConnection| {
        Ok(diesel::connection::SimpleConnection::batch_execute(db, "PRAGMA max_page_count = 1")?)
    };
    repository.writer.run("testing", full).await.unwrap();
    let records: Vec<_> = (0..2_000).map(|n| simple(&n.to_string())).collect();
    let error = repository.commit(batch(records.clone())).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("full"), "{error:?}");
    assert_eq!(repository.head().await.unwrap(), 1);
    assert_eq!(repository.commit(batch(records)).await.unwrap().entry.unwrap().last, 2_001);
    let report = tallyhouse_pipeline::audit(&repository).await.unwrap();
    assert_eq!((report.records, report.findings), (2_001, Vec::new()));
}

#[tokio::test]
async fn whether_records_can_be_written_is_found_out_without_storing_one() {
    let database = Database::new();
    let repository = database.repository().await;
    repository.commit(batch([simple("before")])).await.unwrap();
    repository.ping_write().await.unwrap();
    database.spoil("CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no'); END");
    repository.ping_write().await.unwrap_err();
    repository.ping().await.expect("it answers");
    database.spoil("DROP TRIGGER broken");
    repository.ping_write().await.unwrap();

    database.spoil("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'constraint failed'); END");
    assert_eq!(repository.ping_write().await.unwrap_err().reason(), Some("the database refuses the records"));
    database.spoil("DROP TRIGGER broken");
    assert_eq!(repository.commit(batch([simple("after")])).await.unwrap().entry.unwrap().first, 2);
    let report = tallyhouse_pipeline::audit(&repository).await.unwrap();
    assert_eq!((report.records, report.findings), (2, Vec::new()));
}

struct RunningClock(Instant);

#[async_trait]
impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        crate::test_support::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_keeps_its_order_where_commits_fail_for_a_while() {
    const CHUNKS: usize = 30;
    let database = Database::new();
    let repository = Arc::new(database.repository().await);
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: Arc::clone(&repository) as _,
        clock: Arc::new(RunningClock(Instant::now())),
        rules: RuleSet::default(),
        publisher: None,
        settings: PipelineSettings { writers: 2, ..PipelineSettings::default() },
    });
    let work = tokio::spawn(driver.run());
    let (mut ordered, mut in_flight) = (pipeline.ingress().ordered(), FuturesOrdered::new());
    for n in 0..CHUNKS {
        in_flight.push_back(ordered.submit((0..300).map(|i| simple(&format!("{n}-{i}")).into()).collect()));
    }
    let (mut last, mut answered) = (0, 0);
    while let Some(outcomes) = in_flight.next().await {
        for outcome in outcomes.unwrap() {
            let Outcome::Processed(stored) = outcome else { unreachable!("each is sent once") };
            last += 1;
            assert_eq!(stored.processed.sequence, last);
        }
        answered += 1;
        if answered % 5 == 0 && answered < CHUNKS {
            // The next one but one fails, until it is tried again.
            let trigger = format!(
                "CREATE TRIGGER broken BEFORE INSERT ON records WHEN new.record_id = '{}-299' \
                 BEGIN SELECT RAISE(ABORT, 'out of order'); END",
                answered + 2
            );
            database.spoil(&trigger);
            tokio::time::sleep(Duration::from_millis(20)).await;
            database.spoil("DROP TRIGGER broken");
        }
    }
    pipeline.close();
    work.await.unwrap();
    let report = tallyhouse_pipeline::audit(&*repository).await.unwrap();
    assert_eq!((report.records, report.findings), (300 * CHUNKS as u64, Vec::new()));
}

/// Returns a batch of one record that the owner publishes.
fn owned(owner: &Owner, id: &str) -> tallyhouse_core::ports::Batch {
    tallyhouse_core::ports::Batch { owner: Some(owner.clone()), ..batch([simple(id)]) }
}

#[tokio::test]
async fn an_entry_of_a_lost_history_marks_no_other_one_as_published() {
    let database = Database::new();
    let (repository, owner) = (database.repository().await, Owner::new("me"));
    let lost = repository.commit(owned(&owner, "lost")).await.unwrap().entry.unwrap();
    // The store goes back to before the commit, and the position is used again.
    database.spoil("BEGIN; DELETE FROM records; DELETE FROM summaries; DELETE FROM outbox; COMMIT");
    let kept = repository.commit(owned(&owner, "kept")).await.unwrap().entry.unwrap();
    assert_eq!((lost.first, kept.first), (1, 1));

    repository.mark_published(&owner, &[lost.id]).await.unwrap();
    let mut next = owned(&owner, "next");
    next.published = vec![lost.id];
    let next = repository.commit(next).await.unwrap().entry.unwrap();
    assert_eq!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap(), [kept, next]);
    repository.mark_published(&owner, &[kept.id, next.id]).await.unwrap();
    assert_eq!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_lease_from_the_future_has_lapsed() {
    let database = Database::new();
    let (repository, gone, other) = (database.repository().await, Owner::new("gone"), Owner::new("other"));
    repository.renew(&gone, Duration::from_secs(60)).await.unwrap();
    let entry = repository.commit(owned(&gone, "a")).await.unwrap().entry.unwrap();
    assert_eq!(repository.claim(&other, ClaimScope::Abandoned, 10).await.unwrap(), []);
    // The clock that wrote the lease was ahead, and has been set right.
    database.spoil("UPDATE leases SET until = until + 5 * 3600 * 1000000");
    assert_eq!(repository.claim(&other, ClaimScope::Abandoned, 10).await.unwrap(), [entry]);
}

/// Commits until the repository is well again.
async fn until_committed(repository: &super::SqliteRepository, id: &str) {
    let begun = Instant::now();
    while let Err(error) = repository.commit(batch([simple(id)])).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error:?}");
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_is_gone() {
    for suffix in ["", "-wal", "-shm"] {
        let database = Database::new();
        let repository = database.repository().await;
        repository.commit(batch([simple("before")])).await.unwrap();
        let mut file = database.path().into_os_string();
        file.push(suffix);
        let file = std::path::PathBuf::from(file);
        let away = file.with_extension("away");
        std::fs::rename(&file, &away).unwrap();
        let error = repository.commit(batch([simple("a")])).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable, "without {file:?}");
        assert_eq!(repository.ping().await.unwrap_err().kind(), PortErrorKind::Unavailable, "without {file:?}");
        std::fs::rename(&away, &file).unwrap();
        until_committed(&repository, "a").await;
        assert!(repository.head().await.unwrap() >= 2);
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_was_replaced() {
    let (database, other) = (Database::new(), Database::new());
    let repository = database.repository().await;
    repository.commit(batch([simple("before")])).await.unwrap();
    drop(other.repository().await);
    std::fs::rename(other.path(), database.path()).unwrap();
    for attempt in 0..3 {
        // The log of the old file lies beside the new one, which it would damage.
        let error = repository.commit(batch([simple("a")])).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable, "attempt {attempt}");
    }
    for suffix in ["-wal", "-shm"] {
        let mut file = database.path().into_os_string();
        file.push(suffix);
        std::fs::remove_file(file).unwrap();
    }
    until_committed(&repository, "a").await;
    assert_eq!(repository.head().await.unwrap(), 1, "the records of the new file");
}
