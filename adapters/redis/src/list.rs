//! Records from a list: producers push on the left, consumers take from the right.
//!
//! An element never exists only in this process. A script moves elements from the list of records into this consumer's
//! own processing list, and an element leaves that list only when it is acknowledged. Consumers renew leases in a
//! shared sorted set; the elements of a consumer whose lease has expired are requeued. A connection that fails is
//! discarded, and the next one begins with a reconciliation: it compares the processing list with the elements in
//! flight here.
//!
//! No command returns an unbounded payload. A blocked consumer is woken by an error (`scripts/wake_key.lua`), the
//! scripts cut oversized payloads inside the server (`scripts/element.lua`), and a move stops at a bound in bytes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use redis::RedisResult;
use tallyhouse_core::ports::{Acknowledgement, Clock, Delivery, PortError, RecordSource};
use tokio_util::task::AbortOnDropHandle;

use crate::client::RedisClient;
use crate::connection::Connection;
use crate::error::port_error;
use consumer::{Consumer, NAME};

mod consumer;
mod element;
mod in_flight;
mod ack;
mod heartbeat;
mod orphans;

/// Records from the list `<prefix>:records`.
///
/// The first call starts a small task in its runtime. Until the source is dropped, the task renews this consumer's
/// lease and requeues the elements of consumers whose lease has expired.
pub struct RedisListSource {
    consumer: Arc<Consumer>,
    reader: tokio::sync::Mutex<Reader>,
    heartbeat: OnceLock<AbortOnDropHandle<()>>,
}

/// The state of `receive`, which one call at a time uses.
#[derive(Default)]
struct Reader {
    /// The connection that blocks. A call takes it out while it uses it: if the call is cancelled or fails, the
    /// connection is closed, and the next call begins with a reconciliation.
    connection: Option<Connection>,
    /// Whether the last call returned more than one element: then more may be there, and the next call does not block.
    may_have_more: bool,
}

impl RedisListSource {
    /// Makes a source, and connects to nothing yet.
    #[must_use]
    pub fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            consumer: Arc::new(Consumer::new(client, clock)),
            reader: tokio::sync::Mutex::default(),
            heartbeat: OnceLock::new(),
        }
    }

    async fn try_receive(&self, reader: &mut Reader, max: usize) -> RedisResult<Vec<Delivery>> {
        let (mut connection, is_new) = match reader.connection.take() {
            Some(connection) => (connection, false),
            None => (self.consumer.client.connect_blocking().await?, true),
        };
        if is_new || !self.consumer.in_flight().is_ready() {
            self.consumer.prepare(&mut connection).await?;
            self.heartbeat.get_or_init(|| heartbeat::start(Arc::clone(&self.consumer)));
        }
        let mut deliveries = Vec::new();
        if std::mem::take(&mut reader.may_have_more) {
            deliveries = self.consumer.take(&mut connection, max).await?;
        }
        if deliveries.is_empty() {
            deliveries = self.consumer.wait_and_take(&mut connection, max).await?;
        }
        reader.may_have_more = deliveries.len() > 1;
        reader.connection = Some(connection);
        Ok(deliveries)
    }
}

#[async_trait]
impl RecordSource for RedisListSource {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut reader = self.reader.lock().await;
        let result = self.try_receive(&mut reader, max).await;
        result.map_err(|error| port_error("receiving from the list of records", error))
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let result = self.consumer.ack(acknowledgements).await;
        result.map_err(|error| port_error("acknowledging elements of the list of records", error))
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.consumer.client.ping().await
    }
}

impl fmt::Debug for RedisListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisListSource").field("client", &self.consumer.client).finish_non_exhaustive()
    }
}
