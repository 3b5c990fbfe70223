//! Messages from the configured database, as whatever process commits them.

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

/// How long to wait before the database is asked again after it failed.
const WAIT: Duration = Duration::from_secs(1);

/// Prints messages as they come, for ever.
///
/// # Errors
/// The database can't be opened, or holds what can't be read. That it is away is waited for.
pub(super) async fn follow(settings: &Settings, topic: Topic, after: Option<Position>) -> anyhow::Result<()> {
    let store = Database::open(settings, Schema::Check).await?;
    // This process commits nothing: looking now and then is all that there is.
    let (_never, commits) = watch::channel(0);
    let feed = Feed::new(store.store.clone(), Arc::new(SystemClock::start()), commits, settings.poll_interval);
    let mut out = Output::standard();
    let mut after = match after {
        Some(after) => after,
        None => feed.head().await?,
    };
    loop {
        let mut messages = match feed.follow(topic, Some(after)).await {
            Ok(messages) => Box::pin(messages),
            Err(error) => {
                wait(error).await?;
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
                    wait(error).await?;
                    break;
                }
            }
        }
    }
}

async fn wait(error: PortError) -> anyhow::Result<()> {
    if error.kind() != PortErrorKind::Unavailable {
        return Err(error.into());
    }
    tracing::warn!(%error, "the database is asked again");
    tokio::time::sleep(WAIT).await;
    Ok(())
}
