//! Renews this consumer's lease, also while a batch takes long, and requeues the elements of consumers whose lease has
//! expired.

use std::sync::Arc;

use redis::RedisResult;
use redis::aio::ConnectionLike;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::consumer::Consumer;
use super::in_flight::Membership;
use crate::connection::Script;
use crate::settings::millis;

/// Heartbeats in one lease: two may be lost.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// Leases for which an expired consumer stays registered. A move that was in flight at its expiry may still add
/// to its processing list, and a process that was suspended may even begin one.
const LEASES_REMEMBERED: u64 = 6;

static HEARTBEAT: Script =
    Script::new(concat!(include_str!("scripts/wake_key.lua"), include_str!("scripts/heartbeat.lua")));
static REQUEUE_EXPIRED: Script = Script::new(include_str!("scripts/requeue_expired.lua"));

/// Starts the task. It ends when the handle is dropped.
pub(super) fn start(consumer: Arc<Consumer>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::join!(send_heartbeats(&consumer), consumer.register_orphans());
    }))
}

async fn send_heartbeats(consumer: &Consumer) {
    let mut monitor = Monitor::default();
    loop {
        sleep(consumer.client.settings().lease / HEARTBEATS_PER_LEASE).await;
        if let Err(error) = monitor.heartbeat(consumer).await {
            // The source itself reports that the server is unavailable.
            tracing::debug!(%error, "the lease of a list consumer could not be renewed");
        }
    }
}

/// The state from one heartbeat to the next.
#[derive(Default)]
struct Monitor {
    /// How many payloads had been taken when the processing list was last longer than the elements in flight.
    excess_at: Option<u64>,
}

impl Monitor {
    async fn heartbeat(&mut self, consumer: &Consumer) -> RedisResult<()> {
        let (membership, expected, taken) = {
            let in_flight = consumer.in_flight();
            (in_flight.membership, in_flight.len(), in_flight.total_taken())
        };
        if membership != Membership::Registered {
            return Ok(());
        }
        let mut connection = consumer.client.shared();
        let (length, expired) = consumer.renew_lease(&mut connection).await?;
        // The list may be longer while the answer to a move is in flight, but not for two heartbeats without a move.
        let excess_at = (length > expected).then_some(taken);
        if excess_at.is_some() && excess_at == self.excess_at {
            consumer.in_flight().needs_reconciliation = true;
        }
        self.excess_at = excess_at;
        for name in expired {
            consumer.requeue_expired(&mut connection, &name).await?;
        }
        Ok(())
    }
}

impl Consumer {
    /// Renews the lease, or notes that it has expired. Returns the length of the processing list, and the consumers
    /// whose lease has expired.
    pub(super) async fn renew_lease(
        &self,
        connection: &mut (impl ConnectionLike + Send),
    ) -> RedisResult<(usize, Vec<String>)> {
        let name = Arc::clone(&self.in_flight().name);
        let keys = self.client.keys();
        let lease_ms = self.lease_ms();
        let (is_registered, length, expired): (bool, usize, Vec<String>) = HEARTBEAT
            .run(connection, &[&keys.consumers, &keys.processing(&name), &keys.wake, &keys.records], |args| {
                args.arg(&*name).arg(lease_ms);
            })
            .await?;
        let mut in_flight = self.in_flight();
        if !is_registered && in_flight.name == name {
            tracing::warn!("this list consumer's lease has expired; its elements are received again");
            in_flight.membership = Membership::Expired;
        }
        Ok((length, expired))
    }

    async fn requeue_expired(&self, connection: &mut (impl ConnectionLike + Send), name: &str) -> RedisResult<()> {
        let keys = self.client.keys();
        let block_ms = millis(self.client.settings().block);
        let lease_ms = self.lease_ms();
        let remembered_ms = lease_ms.saturating_mul(LEASES_REMEMBERED).saturating_add(block_ms);
        let requeued: u64 = REQUEUE_EXPIRED
            .run(connection, &[&keys.consumers, &keys.processing(name), &keys.records], |args| {
                args.arg(name).arg(remembered_ms).arg(lease_ms);
            })
            .await?;
        if requeued > 0 {
            tracing::info!(elements = requeued, consumer = name, "requeued the elements of an expired list consumer");
        }
        Ok(())
    }
}
