//! Keeps entries under way fresh, so that nobody claims them, and clears away the names of consumers that are gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, cmd};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Consumer, GROUP, millis};
use crate::script::Script;

/// Beats in one lease: two may be lost.
pub(super) const BEATS_PER_LEASE: u32 = 3;

/// Leases after which a name with nothing pending is cleared away.
const LEASES_REMEMBERED: u32 = 6;

/// Ids in one command.
const COMMAND_IDS_MAX: usize = 1000;

static REAP: Script = Script::new(include_str!("reap.lua"));

/// The task; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    pub(super) fn start(consumer: Arc<Consumer>) -> Self {
        Self(tokio::spawn(async move {
            let lease = consumer.client.settings().lease;
            let mut reap_at = Instant::now();
            loop {
                sleep(lease / BEATS_PER_LEASE).await;
                let mut result = consumer.freshen().await;
                if result.is_ok() && reap_at <= Instant::now() {
                    reap_at = Instant::now() + lease * LEASES_REMEMBERED;
                    result = consumer.reap(lease * LEASES_REMEMBERED).await;
                }
                if let Err(error) = result {
                    // The source itself reports that the server is away.
                    tracing::debug!(%error, "entries under way could not be kept fresh");
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Consumer {
    async fn freshen(&self) -> RedisResult<()> {
        for ids in self.in_flight.ids().chunks(COMMAND_IDS_MAX) {
            let mut command = cmd("XCLAIM");
            // To claim what is ours already sets its idle time to zero.
            command.arg(&self.client.keys().stream).arg(GROUP).arg(&self.name).arg(0).arg(ids).arg("JUSTID");
            let pending: HashSet<String> = command.query_async(&mut self.client.shared()).await?;
            for id in ids.iter().filter(|id| !pending.contains(*id)) {
                // Settled by somebody else, or deleted, or the group is a new one: no longer ours to keep.
                self.in_flight.release(id);
            }
        }
        Ok(())
    }

    async fn reap(&self, silence: Duration) -> RedisResult<()> {
        let removed: u64 = REAP
            .run(&mut self.client.shared(), &[&self.client.keys().stream], |args| {
                args.arg(GROUP).arg(millis(silence));
            })
            .await?;
        if removed > 0 {
            tracing::debug!(consumers = removed, "cleared away the names of stream consumers that are gone");
        }
        Ok(())
    }
}
