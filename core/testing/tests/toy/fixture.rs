//! The toy's fixture: a file in a folder of its own. Handles are clones, as in any store that lives in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{RuleRepository, Store};
use tallyhouse_testing::{RepositoryFixture, TestClock};
use tempfile::TempDir;

use crate::repository::Toy;

pub(crate) struct ToyFixture {
    folder: TempDir,
    clock: Arc<TestClock>,
    pub(crate) toy: Arc<Toy>,
}

impl ToyFixture {
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("toy.jsonl")
    }

    fn open(&mut self) {
        self.toy = Arc::new(Toy::open(&self.file(), Arc::clone(&self.clock) as _));
    }
}

#[async_trait]
impl RepositoryFixture for ToyFixture {
    async fn fresh() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(TestClock::default()));
        let toy = Arc::new(Toy::open(&folder.path().join("toy.jsonl"), Arc::clone(&clock) as _));
        Self { folder, clock, toy }
    }

    async fn handle(&self) -> Arc<dyn Store> {
        Arc::clone(&self.toy) as _
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::clone(&self.toy) as _
    }

    async fn let_lapse(&self, lease: Duration) {
        self.clock.advance(lease);
    }

    async fn reopen(&mut self) -> bool {
        assert_eq!(Arc::strong_count(&self.toy), 1, "the case has dropped its handles");
        self.open();
        true
    }
}
