//! Faults are planted in the toy: it loses everything when it is opened again; its commits do not exclude each other. The
//! suite must find them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{RuleRepository, Store};
use tallyhouse_testing::RepositoryFixture;
use tallyhouse_testing::conformance::repository::{durability, races};

use crate::fixture::ToyFixture;

/// The toy with one of two faults: its file is empty after the end of the process, or its commits plan and write under two
/// locks.
struct Faulty<const FORGETS: bool>(ToyFixture);

type Forgetful = Faulty<true>;
type Racing = Faulty<false>;

#[async_trait]
impl<const FORGETS: bool> RepositoryFixture for Faulty<FORGETS> {
    async fn fresh() -> Self {
        let mut fixture = ToyFixture::fresh().await;
        if !FORGETS {
            Arc::get_mut(&mut fixture.toy).unwrap().unlocked_for = Duration::from_millis(3);
        }
        Self(fixture)
    }

    async fn handle(&self) -> Arc<dyn Store> {
        self.0.handle().await
    }

    async fn rules(&self) -> Arc<dyn RuleRepository> {
        self.0.rules().await
    }

    async fn let_lapse(&self, lease: Duration) {
        self.0.let_lapse(lease).await;
    }

    async fn reopen(&mut self) -> bool {
        if FORGETS {
            std::fs::write(self.0.file(), "").unwrap();
        }
        self.0.reopen().await
    }
}

/// Runs a case that must fail, and returns the message of its panic.
pub(crate) async fn failure(case: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(case).await.expect_err("the case must find the fault").into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("a panic has a message")
}

#[tokio::test]
async fn a_store_that_loses_everything_at_a_reopen_fails_the_suite() {
    failure(durability::records_and_summaries_are_durable::<Forgetful>()).await;
    failure(durability::outbox_entries_are_durable::<Forgetful>()).await;
    failure(durability::managed_rules_are_durable::<Forgetful>()).await;
    failure(durability::positions_and_sequences_continue_after_a_reopen::<Forgetful>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_commits_do_not_exclude_each_other_fails_the_suite() {
    failure(races::a_batch_sent_by_all_at_once_is_processed_once::<Racing>()).await;
    failure(races::one_hot_key_counts_every_record_of_all_writers::<Racing>()).await;
}
