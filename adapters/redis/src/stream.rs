//! Records from a stream that producers add to, read by a consumer group.
//!
//! An entry is pending under our name from the moment it is read until it is settled; then it is acknowledged and
//! deleted in one step. Entries under way are kept fresh, however long their batch takes; those that nobody has kept
//! fresh for a lease are claimed by whoever sees it first. A group that is gone is made again.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use redis::{RedisResult, Value, cmd, from_redis_value};
use tallyhouse_core::ports::{Acknowledgement, Clock, Delivery, PortError, RecordSource};
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::RedisClient;
use crate::entry::Entry;
use crate::error::{is_group_missing, port_error};
use crate::link::Link;
use crate::script::Script;
use heartbeat::{BEATS_PER_LEASE, Heartbeat};
use in_flight::InFlight;

mod heartbeat;
mod in_flight;
mod ack;

/// The name of the consumer group.
pub(crate) const GROUP: &str = "tallyhouse";

/// How the source is called in logs and dead letters.
const NAME: &str = "stream";

/// Before every entry.
const START: &str = "0-0";

/// One read asks for about as many entries as had this many bytes the last time.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

static CREATE_GROUP: Script = Script::new(include_str!("stream/create_group.lua"));

/// Records from the stream `<prefix>:records:stream`, as a new consumer of the group `tallyhouse`.
///
/// Within the runtime of the first call a small task keeps entries under way fresh until the source is dropped.
pub struct RedisStreamSource {
    consumer: Arc<Consumer>,
    reader: tokio::sync::Mutex<Reader>,
    heartbeat: OnceLock<Heartbeat>,
}

/// What the heartbeat and settling share with reading.
struct Consumer {
    client: RedisClient,
    clock: Arc<dyn Clock>,
    /// Different at every start.
    name: String,
    in_flight: InFlight,
    /// Whether an entry was given back, and can be claimed at once.
    claimable: AtomicBool,
}

/// What only one call of `receive` at a time uses.
struct Reader {
    /// The connection that blocks. A call takes it away while it uses it: when the call is cancelled or fails, the
    /// connection is closed, and what it had read is read again by the next one.
    link: Option<Link>,
    /// Whether there was a connection before.
    connected: bool,
    /// After which of the entries that are pending under our name to go on reading, when some may be there that we do
    /// not know of.
    own_after: Option<String>,
    /// Where to go on claiming, and not before when.
    claim_after: String,
    claim_at: Option<Instant>,
    /// How many bytes an entry had on average the last time.
    entry_bytes: usize,
}

impl RedisStreamSource {
    /// Makes a source; nothing is connected yet.
    #[must_use]
    pub fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        let consumer = Consumer {
            client: client.clone(),
            clock,
            name: Uuid::new_v4().simple().to_string(),
            in_flight: InFlight::default(),
            claimable: AtomicBool::new(false),
        };
        let reader = Reader {
            link: None,
            connected: false,
            own_after: None,
            claim_after: START.to_owned(),
            claim_at: None,
            entry_bytes: 0,
        };
        Self { consumer: Arc::new(consumer), reader: tokio::sync::Mutex::new(reader), heartbeat: OnceLock::new() }
    }

    async fn try_receive(&self, reader: &mut Reader, max: usize) -> RedisResult<Vec<Delivery>> {
        let mut link = match reader.link.take() {
            Some(link) => link,
            None => {
                if std::mem::replace(&mut reader.connected, true) {
                    reader.own_after = Some(START.to_owned());
                }
                let mut link = self.consumer.connect().await?;
                self.consumer.create_group(&mut link).await?;
                self.heartbeat.get_or_init(|| Heartbeat::start(Arc::clone(&self.consumer)));
                link
            }
        };
        let mut result = self.consumer.read(&mut link, reader, max).await;
        if result.as_ref().is_err_and(is_group_missing) {
            tracing::warn!("the consumer group of the stream of records is gone; making it again");
            self.consumer.create_group(&mut link).await?;
            result = self.consumer.read(&mut link, reader, max).await;
        }
        let deliveries = result?;
        reader.link = Some(link);
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
        result.map_err(|error| port_error("settling entries of the stream of records", error))
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

impl Consumer {
    async fn connect(&self) -> RedisResult<Link> {
        let connector = self.client.connector();
        connector.cool_down().await;
        connector.connect(self.client.blocking_timeout()).await
    }

    async fn create_group(&self, link: &mut Link) -> RedisResult<()> {
        CREATE_GROUP
            .run(link, &[&self.client.keys().stream], |args| {
                args.arg(GROUP);
            })
            .await
    }

    /// Reads what is pending under our name, then what others have abandoned, then what is new.
    async fn read(&self, link: &mut Link, reader: &mut Reader, max: usize) -> RedisResult<Vec<Delivery>> {
        let count = max.min(READ_BYTES_MAX / reader.entry_bytes.max(1)).max(1);
        while let Some(after) = &reader.own_after {
            let entries = self.read_after(link, after, count, None).await?;
            reader.own_after = entries.get(count - 1).map(|last| last.id.clone());
            let deliveries = self.deliver(link, reader, entries).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
        if self.claimable.swap(false, Ordering::Relaxed) {
            // What was given back comes in its order, before all that is new.
            (reader.claim_after, reader.claim_at) = (START.to_owned(), None);
        }
        if reader.claim_at.is_none_or(|at| at <= Instant::now()) {
            let deliveries = self.claim(link, reader, count).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
        let block_ms = millis(self.client.settings().block);
        let entries = self.read_after(link, ">", count, Some(block_ms)).await?;
        self.deliver(link, reader, entries).await
    }

    async fn read_after(
        &self,
        link: &mut Link,
        after: &str,
        count: usize,
        block_ms: Option<u64>,
    ) -> RedisResult<Vec<Entry>> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.name).arg("COUNT").arg(count);
        if let Some(block_ms) = block_ms {
            command.arg("BLOCK").arg(block_ms);
        }
        command.arg("STREAMS").arg(&self.client.keys().stream).arg(after);
        let streams: Option<Vec<(String, Value)>> = command.query_async(link).await?;
        match streams.and_then(|streams| streams.into_iter().next()) {
            Some((_, entries)) => Entry::read_all(entries),
            None => Ok(Vec::new()),
        }
    }

    async fn claim(&self, link: &mut Link, reader: &mut Reader, count: usize) -> RedisResult<Vec<Delivery>> {
        let mut command = cmd("XAUTOCLAIM");
        let lease = self.client.settings().lease;
        command.arg(&self.client.keys().stream).arg(GROUP).arg(&self.name).arg(millis(lease));
        command.arg(&reader.claim_after).arg("COUNT").arg(count);
        let answer: Vec<Value> = command.query_async(link).await?;
        let mut parts = answer.into_iter();
        reader.claim_after = from_redis_value(parts.next().unwrap_or(Value::Nil))?;
        reader.claim_at = (reader.claim_after == START).then(|| Instant::now() + lease / BEATS_PER_LEASE);
        let entries = Entry::read_all(parts.next().unwrap_or(Value::Nil))?;
        let deliveries = self.deliver(link, reader, entries).await?;
        if !deliveries.is_empty() {
            tracing::info!(entries = deliveries.len(), "claimed entries that were given back or abandoned");
        }
        Ok(deliveries)
    }

    /// Turns entries into deliveries, without those that are under way here and those that are deleted.
    async fn deliver(&self, link: &mut Link, reader: &mut Reader, entries: Vec<Entry>) -> RedisResult<Vec<Delivery>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        reader.entry_bytes = entries.iter().map(Entry::bytes).sum::<usize>() / entries.len();
        let (deleted, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(Entry::is_deleted);
        if deleted.iter().any(|entry| entry.id.is_empty()) {
            // Now that they are ours, their ids are found among our own.
            reader.own_after = Some(START.to_owned());
        }
        let ids: Vec<_> = deleted.into_iter().map(|entry| entry.id).filter(|id| !id.is_empty()).collect();
        if !ids.is_empty() {
            self.remove(link, &ids).await?;
        }
        Ok(self.in_flight.take(entries))
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
