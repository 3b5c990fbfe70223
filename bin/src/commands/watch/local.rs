//! Messages from the configured database, whichever process commits them.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tallyhouse_pipeline::ports::{PortError, PortErrorKind};
use tallyhouse_pipeline::{Feed, Position, Topic};
use tokio::sync::watch;

use super::print;
use crate::clock::SystemClock;
use crate::database::{Database, Schema};
use crate::output::Output;
use crate::settings::Settings;

/// The wait before a failed read is retried.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Prints messages as they come, without end.
///
/// # Errors
/// The database can't be opened or is corrupt. An unavailable database is retried.
pub(super) async fn follow(settings: &Settings, topic: Topic, after: Option<Position>) -> anyhow::Result<()> {
    let database = Database::open(settings, Schema::Check).await?;
    // This process commits nothing and is never notified: the feed polls.
    let (_no_commits, commits) = watch::channel(0);
    let feed = Feed::new(database.store.clone(), Arc::new(SystemClock::start()), commits, settings.poll_interval);
    let mut out = Output::standard();
    let mut after = match after {
        Some(after) => after,
        None => feed.head().await?,
    };
    loop {
        let mut messages = match feed.follow(topic, Some(after)).await {
            Ok(messages) => Box::pin(messages),
            Err(error) => {
                wait_to_retry(error).await?;
                continue;
            }
        };
        while let Some(message) = messages.next().await {
            match message {
                Ok((position, message)) => {
                    print(&mut out, &settings.messages.to_json(&message))?;
                    after = position;
                }
                Err(error) => {
                    wait_to_retry(error).await?;
                    break;
                }
            }
        }
    }
}

async fn wait_to_retry(error: PortError) -> anyhow::Result<()> {
    if error.kind() != PortErrorKind::Unavailable {
        return Err(error.into());
    }
    tracing::warn!(%error, "the database is unavailable; retrying");
    tokio::time::sleep(RETRY_WAIT).await;
    Ok(())
}
