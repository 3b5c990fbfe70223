//! SQLite passes the suite that every repository passes: each handle is a connection pool of its own on the same file,
//! as another process would have it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::RecordRepository;
use tallyhouse_core::testing::{RepositoryFixture, TestClock};
use tallyhouse_sqlite::{SqliteRepository, SqliteSettings};
use tempfile::TempDir;

struct Fixture {
    folder: TempDir,
    clock: Arc<TestClock>,
}

#[async_trait]
impl RepositoryFixture for Fixture {
    async fn fresh() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap(), clock: Arc::default() };
        fixture.open().await.migrate().await.unwrap();
        fixture
    }

    async fn handle(&self) -> Arc<dyn RecordRepository> {
        Arc::new(self.open().await)
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }
}

impl Fixture {
    async fn open(&self) -> SqliteRepository {
        let settings = SqliteSettings::at(self.folder.path().join("tallyhouse.db"));
        SqliteRepository::open(settings, Arc::clone(&self.clock) as _).await.unwrap()
    }
}

tallyhouse_core::repository_conformance!(Fixture);
