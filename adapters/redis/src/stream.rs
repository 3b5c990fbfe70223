//! Records from a stream: producers add entries, a consumer group reads them.
//!
//! An entry is pending under this consumer's name from the moment it is read until it is acknowledged; then it is
//! acknowledged and deleted in one step. A heartbeat resets the idle time of entries in flight, however long their
//! batch takes. An entry that was idle for a lease is claimed by the next consumer that looks. A missing group is
//! created again.
//!
//! No command returns an unbounded payload: the server discards the reply of the blocking read (`Script::run_after`),
//! the scripts cut oversized entries inside the server (`scripts/entry.lua`), and a read stops at a bound in bytes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use redis::RedisResult;
use tallyhouse_core::ports::{Acknowledgement, Clock, Delivery, PortError, RecordSource};
use tokio_util::task::AbortOnDropHandle;

use crate::client::RedisClient;
use crate::error::{is_group_missing, port_error};
use consumer::{Consumer, NAME};
use reader::Reader;

mod consumer;
mod in_flight;
mod reader;
mod ack;
mod heartbeat;

/// Records from the stream `<prefix>:records:stream`, as a new consumer of the group `tallyhouse`.
///
/// The first call starts a small task in its runtime. Until the source is dropped, the task resets the idle time of
/// entries in flight.
pub struct RedisStreamSource {
    consumer: Arc<Consumer>,
    reader: tokio::sync::Mutex<Reader>,
    heartbeat: OnceLock<AbortOnDropHandle<()>>,
}

impl RedisStreamSource {
    /// Makes a source, and connects to nothing yet.
    #[must_use]
    pub fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            consumer: Arc::new(Consumer::new(client, clock)),
            reader: tokio::sync::Mutex::new(Reader::new()),
            heartbeat: OnceLock::new(),
        }
    }

    async fn try_receive(&self, reader: &mut Reader, max: usize) -> RedisResult<Vec<Delivery>> {
        let mut connection = match reader.connection.take() {
            Some(connection) => connection,
            None => {
                reader.begin_connection();
                let mut connection = self.consumer.client.connect_blocking().await?;
                self.consumer.create_group(&mut connection).await?;
                self.heartbeat.get_or_init(|| heartbeat::start(Arc::clone(&self.consumer)));
                connection
            }
        };
        let mut result = reader.read(&self.consumer, &mut connection, max).await;
        if result.as_ref().is_err_and(is_group_missing) {
            tracing::warn!("the consumer group of the stream of records is missing; creating it again");
            self.consumer.create_group(&mut connection).await?;
            reader.begin_group();
            result = reader.read(&self.consumer, &mut connection, max).await;
        }
        let deliveries = result?;
        reader.connection = Some(connection);
        Ok(deliveries)
    }
}

#[async_trait]
impl RecordSource for RedisStreamSource {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut reader = self.reader.lock().await;
        let result = self.try_receive(&mut reader, max).await;
        result.map_err(|error| port_error("receiving from the stream of records", error))
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let result = self.consumer.ack(acknowledgements).await;
        result.map_err(|error| port_error("acknowledging entries of the stream of records", error))
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.consumer.client.ping().await
    }
}

impl fmt::Debug for RedisStreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreamSource").field("client", &self.consumer.client).finish_non_exhaustive()
    }
}
