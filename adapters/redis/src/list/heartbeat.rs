//! Keeps our lease alive, also while a batch is long under way, and takes over from those who let theirs lapse,
//! or whom the server has forgotten.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::ConnectionLike;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Consumer;
use super::in_flight::Membership;
use crate::script::Script;

/// Beats in one lease: two may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// Leases for which a name is remembered after it was taken over. A blocking move that was under way then may still
/// put something into its list; and a process that was stopped in its tracks may even begin one.
const LEASES_REMEMBERED: u64 = 6;

static BEAT: Script = Script::new(include_str!("beat.lua"));
static TAKE_OVER: Script = Script::new(include_str!("take_over.lua"));

/// The task; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    pub(super) fn start(consumer: Arc<Consumer>) -> Self {
        Self(tokio::spawn(async move {
            tokio::join!(keep_beating(&consumer), consumer.adopt());
        }))
    }
}

async fn keep_beating(consumer: &Consumer) {
    let mut watch = Watch::default();
    loop {
        sleep(consumer.client.settings().lease / BEATS_PER_LEASE).await;
        if let Err(error) = watch.beat(consumer).await {
            // The source itself reports that the server is away.
            tracing::debug!(%error, "the lease of a list consumer could not be renewed");
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What one beat remembers for the next.
#[derive(Default)]
struct Watch {
    /// How many payloads had been taken when our list was last longer than it should be.
    excess_at: Option<u64>,
}

impl Watch {
    async fn beat(&mut self, consumer: &Consumer) -> RedisResult<()> {
        let (membership, expected, taken) = {
            let in_flight = consumer.in_flight();
            (in_flight.membership, in_flight.len(), in_flight.taken())
        };
        if membership != Membership::Joined {
            return Ok(());
        }
        let mut link = consumer.client.shared();
        let (length, silent) = consumer.beat(&mut link).await?;
        // Our list may be longer for a moment, while the answer to a move is on its way; not from one beat to the next.
        let excess_at = (length > expected).then_some(taken);
        if excess_at.is_some() && excess_at == self.excess_at {
            consumer.in_flight().suspect = true;
        }
        self.excess_at = excess_at;
        for name in silent {
            consumer.take_over(&mut link, &name).await?;
        }
        Ok(())
    }
}

impl Consumer {
    /// Renews the lease, or notes that it has lapsed. Returns the length of our list, and who has become silent.
    pub(super) async fn beat(&self, link: &mut (impl ConnectionLike + Send)) -> RedisResult<(usize, Vec<String>)> {
        let name = Arc::clone(&self.in_flight().name);
        let keys = self.client.keys();
        let lease_ms = self.lease_ms();
        let (alive, length, silent): (bool, usize, Vec<String>) = BEAT
            .run(link, &[&keys.consumers, &keys.processing(&name)], |args| {
                args.arg(&*name).arg(lease_ms);
            })
            .await?;
        let mut in_flight = self.in_flight();
        if !alive && in_flight.name == name {
            tracing::warn!("this consumer was silent for too long; what it held is received again");
            in_flight.membership = Membership::Lapsed;
        }
        Ok((length, silent))
    }

    async fn take_over(&self, link: &mut (impl ConnectionLike + Send), name: &str) -> RedisResult<()> {
        let keys = self.client.keys();
        let remembered_ms = self.lease_ms().saturating_mul(LEASES_REMEMBERED).saturating_add(self.block_ms());
        let moved: u64 = TAKE_OVER
            .run(link, &[&keys.consumers, &keys.processing(name), &keys.records], |args| {
                args.arg(name).arg(remembered_ms);
            })
            .await?;
        if moved > 0 {
            tracing::info!(elements = moved, consumer = name, "gave back what a silent list consumer in_flight");
        }
        Ok(())
    }

    fn block_ms(&self) -> u64 {
        u64::try_from(Duration::as_millis(&self.client.settings().block)).unwrap_or(u64::MAX)
    }
}
