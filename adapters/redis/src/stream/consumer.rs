//! One consumer of the group: the state that reading, acknowledging and the heartbeat share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::RedisResult;
use tallyhouse_core::ports::Clock;
use uuid::Uuid;

use super::in_flight::InFlight;
use crate::client::RedisClient;
use crate::connection::{Connection, Script};
use crate::keys::GROUP;

/// The name of the source in logs and dead letters.
pub(super) const NAME: &str = "stream";

static CREATE_GROUP: Script = Script::new(include_str!("scripts/create_group.lua"));

/// A consumer of the group.
pub(super) struct Consumer {
    pub(super) client: RedisClient,
    pub(super) clock: Arc<dyn Clock>,
    /// Different at every start.
    pub(super) name: String,
    pub(super) in_flight: InFlight,
    /// Whether an entry was nacked since the last look, and can be claimed at once.
    nacked: AtomicBool,
}

impl Consumer {
    pub(super) fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: client.clone(),
            clock,
            name: Uuid::new_v4().simple().to_string(),
            in_flight: InFlight::default(),
            nacked: AtomicBool::new(false),
        }
    }

    pub(super) async fn create_group(&self, connection: &mut Connection) -> RedisResult<()> {
        CREATE_GROUP
            .run(connection, &[&self.client.keys().stream], |args| {
                args.arg(GROUP);
            })
            .await
    }

    /// Notes that an entry was nacked.
    pub(super) fn note_nack(&self) {
        self.nacked.store(true, Ordering::Relaxed);
    }

    /// Says whether an entry was nacked since the last call.
    pub(super) fn take_nack(&self) -> bool {
        self.nacked.swap(false, Ordering::Relaxed)
    }
}
