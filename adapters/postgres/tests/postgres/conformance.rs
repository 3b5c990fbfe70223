//! The port's conformance suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{RuleRepository, Store};
use tallyhouse_testing::RepositoryFixture;

use crate::support::{database, repository};

/// A database for one case; every handle has its own connections, as another instance would.
struct Fixture(String);

#[async_trait]
impl RepositoryFixture for Fixture {
    async fn fresh() -> Self {
        Self(database().await)
    }

    async fn handle(&self) -> Arc<dyn Store> {
        Arc::new(repository(&self.0))
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        Arc::new(repository(&self.0))
    }

    async fn let_lapse(&self, lease: Duration) {
        // Leases lapse by the database's clock, which a test can't set.
        tokio::time::sleep(lease + Duration::from_millis(50)).await;
    }

    async fn reopen(&mut self) -> bool {
        // The next handle opens a new connection. The server goes on: that it keeps what it has committed is its own promise.
        true
    }

    async fn run_background_work(&self) {
        repository(&self.0).roll_up().await.expect("records are rolled up");
    }
}

tallyhouse_testing::repository_conformance!(Fixture);
