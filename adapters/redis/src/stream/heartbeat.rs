//! Resets the idle time of entries in flight, so that no other consumer claims them, and deletes consumers of the group
//! that are gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, cmd};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::consumer::Consumer;
use crate::connection::Script;
use crate::keys::GROUP;
use crate::settings::millis;

/// Heartbeats in one lease: two may be lost.
pub(super) const HEARTBEATS_PER_LEASE: u32 = 3;

/// Leases after which an idle consumer with nothing pending is deleted.
const LEASES_REMEMBERED: u32 = 6;

/// Ids in one command.
const COMMAND_IDS_MAX: usize = 1000;

static DELETE_IDLE_CONSUMERS: Script = Script::new(include_str!("scripts/delete_idle_consumers.lua"));

/// Starts the task. It ends when the handle is dropped.
pub(super) fn start(consumer: Arc<Consumer>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let lease = consumer.client.settings().lease;
        let mut delete_at = Instant::now();
        loop {
            sleep(lease / HEARTBEATS_PER_LEASE).await;
            let mut result = consumer.reset_idle_times().await;
            if result.is_ok() && delete_at <= Instant::now() {
                delete_at = Instant::now() + lease * LEASES_REMEMBERED;
                result = consumer.delete_idle_consumers(lease * LEASES_REMEMBERED).await;
            }
            if let Err(error) = result {
                // The source itself reports that the server is unavailable.
                tracing::debug!(%error, "the heartbeat of a stream consumer failed");
            }
        }
    }))
}

impl Consumer {
    async fn reset_idle_times(&self) -> RedisResult<()> {
        for ids in self.in_flight.ids().chunks(COMMAND_IDS_MAX) {
            let mut command = cmd("XCLAIM");
            // Claiming an entry that is one's own resets its idle time.
            command.arg(&self.client.keys().stream).arg(GROUP).arg(&self.name).arg(0).arg(ids).arg("JUSTID");
            let pending: HashSet<String> = command.query_async(&mut self.client.shared()).await?;
            for id in ids.iter().filter(|id| !pending.contains(*id)) {
                // Another consumer has acknowledged it, or it was deleted, or the group was created again.
                self.in_flight.remove(id);
            }
        }
        Ok(())
    }

    async fn delete_idle_consumers(&self, idle: Duration) -> RedisResult<()> {
        let deleted: u64 = DELETE_IDLE_CONSUMERS
            .run(&mut self.client.shared(), &[&self.client.keys().stream], |args| {
                args.arg(GROUP).arg(millis(idle));
            })
            .await?;
        if deleted > 0 {
            tracing::debug!(consumers = deleted, "deleted stream consumers that are gone");
        }
        Ok(())
    }
}
