//! Messages from the configured database, committed by any process.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tallyhouse_pipeline::ports::PortErrorKind;
use tallyhouse_pipeline::{Cursor, Feed, FeedError, Topic};
use tokio::sync::watch;

use super::print;
use crate::database::{Database, Schema};
use crate::output::Output;
use crate::settings::Settings;
use tallyhouse_pipeline::TokioClock;

/// The wait before a failed read is retried.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Prints messages as they come, without end.
///
/// # Errors
/// The database can't be opened or is corrupt. An unavailable database is retried.
pub(super) async fn follow(settings: &Settings, topic: Topic, after: Option<Cursor>) -> anyhow::Result<()> {
    let database = Database::open(settings, Schema::Check).await?;
    // This process commits nothing and is never notified: the feed polls.
    let (_no_commits, commits) = watch::channel(0);
    let feed = Feed::new(database.store.clone(), Arc::new(TokioClock::start()), commits, settings.poll_interval);
    let mut out = Output::standard();
    let mut after = match after {
        Some(after) => after,
        None => feed.head().await?,
    };
    loop {
        let mut messages = match feed.follow(topic, Some(after)).await {
            Ok(messages) => Box::pin(messages),
            Err(error) => {
                after = recover(error, after).await?;
                continue;
            }
        };
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    print(&mut out, &settings.messages.to_json(&message))?;
                    after = message.cursor();
                }
                Err(error) => {
                    after = recover(error, after).await?;
                    break;
                }
            }
        }
    }
}

/// Returns the cursor at which to go on after an error. Waits first if the database is unavailable; starts over if its
/// history has changed.
async fn recover(error: FeedError, after: Cursor) -> anyhow::Result<Cursor> {
    match error {
        FeedError::HistoryChanged { head } => {
            tracing::warn!(%after, %head, "the history has changed, as when a backup is restored: starting over");
            Ok(Cursor::START)
        }
        FeedError::Port(error) if error.kind() == PortErrorKind::Unavailable => {
            tracing::warn!(%error, "the database is unavailable; retrying");
            tokio::time::sleep(RETRY_WAIT).await;
            Ok(after)
        }
        FeedError::Port(error) => Err(error.into()),
    }
}
