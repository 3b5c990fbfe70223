//! Records from a list that producers push to on the left, taken from the right.
//!
//! An element is never only in this process: `BLMOVE` wakes us with one, a script moves more, both into a list of our
//! own, and only what is settled leaves that list. Consumers keep each other's leases in view; what a silent one holds
//! goes back to the records. A connection in doubt is thrown away, and the next one begins by comparing our list with
//! what we know of.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use redis::{RedisResult, cmd};
use tallyhouse_core::ports::{Acknowledgement, Clock, Delivery, PortError, RecordSource};
use tokio::sync::{Notify, RwLock};
use tokio::time::sleep;

use crate::client::RedisClient;
use crate::error::{is_out_of_memory, port_error};
use crate::link::Link;
use crate::script::Script;
use heartbeat::Heartbeat;
use in_flight::{InFlight, Membership};

mod orphans;
mod heartbeat;
mod in_flight;
mod ack;

/// How the source is called in logs and dead letters.
const NAME: &str = "list";

/// A move stops at about this many bytes, so that large payloads do not add up to a large batch.
const MOVE_BYTES_MAX: usize = 8 * 1024 * 1024;

static JOIN: Script = Script::new(include_str!("list/join.lua"));
static MOVE: Script = Script::new(include_str!("list/move.lua"));

/// Records from the list `<prefix>:records`.
///
/// Within the runtime of the first call a small task keeps this consumer's lease alive, and looks after what others
/// have left, until the source is dropped.
pub struct RedisListSource {
    consumer: Arc<Consumer>,
    reader: tokio::sync::Mutex<Reader>,
    heartbeat: OnceLock<Heartbeat>,
}

/// What the heartbeat shares with the source.
struct Consumer {
    client: RedisClient,
    clock: Arc<dyn Clock>,
    in_flight: Mutex<InFlight>,
    /// InFlight by each settling for reading, and for writing while our list is compared with what we know of.
    settling: RwLock<()>,
    /// Told whenever we join the consumers: the server may have forgotten others as it did not know us.
    joined: Notify,
}

/// What only one call of `receive` at a time uses.
#[derive(Default)]
struct Reader {
    /// The connection that blocks. A call takes it away while it uses it: when the call is cancelled or fails, the
    /// connection is closed, and the next one begins with a sweep.
    link: Option<Link>,
    /// Whether the last call found more than one element: then there may be more, without waiting.
    backlog: bool,
}

impl RedisListSource {
    /// Makes a source; nothing is connected yet.
    #[must_use]
    pub fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        let consumer = Consumer {
            client: client.clone(),
            clock,
            in_flight: Mutex::new(InFlight::new()),
            settling: RwLock::default(),
            joined: Notify::new(),
        };
        Self { consumer: Arc::new(consumer), reader: tokio::sync::Mutex::default(), heartbeat: OnceLock::new() }
    }

    async fn try_receive(&self, reader: &mut Reader, max: usize) -> RedisResult<Vec<Delivery>> {
        let (mut link, is_new) = match reader.link.take() {
            Some(link) => (link, false),
            None => (self.consumer.connect().await?, true),
        };
        if is_new || !self.consumer.in_flight().is_well() {
            self.consumer.enter(&mut link).await?;
            self.heartbeat.get_or_init(|| Heartbeat::start(Arc::clone(&self.consumer)));
        }
        let mut deliveries = Vec::new();
        if std::mem::take(&mut reader.backlog) {
            deliveries = self.consumer.take(&mut link, max, Vec::new()).await?;
        }
        if deliveries.is_empty() {
            deliveries = self.consumer.wait_and_take(&mut link, max).await?;
        }
        reader.backlog = deliveries.len() > 1;
        reader.link = Some(link);
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
        result.map_err(|error| port_error("settling elements of the list of records", error))
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

impl Consumer {
    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> RedisResult<Link> {
        let connector = self.client.connector();
        connector.cool_down().await;
        connector.connect(self.client.blocking_timeout()).await
    }

    /// Makes sure that we are one of the consumers, and that our list holds nothing that we do not know of.
    async fn enter(&self, link: &mut Link) -> RedisResult<()> {
        if self.in_flight().membership == Membership::Joined {
            self.beat(link).await?;
        }
        if self.in_flight().membership == Membership::Joined {
            return self.sweep(link).await;
        }
        let (name, former) = {
            let mut in_flight = self.in_flight();
            in_flight.rename();
            (Arc::clone(&in_flight.name), in_flight.former.clone())
        };
        let lease_ms = self.lease_ms();
        JOIN.run::<()>(link, &[&self.client.keys().consumers], |args| {
            args.arg(&*name).arg(lease_ms).arg(former.as_deref().unwrap_or_default());
        })
        .await?;
        let mut in_flight = self.in_flight();
        in_flight.former = None;
        in_flight.membership = Membership::Joined;
        drop(in_flight);
        self.joined.notify_one();
        Ok(())
    }

    /// Gives back what lies in our list without our knowing.
    async fn sweep(&self, link: &mut Link) -> RedisResult<()> {
        let _nothing_is_settled = self.settling.write().await;
        let key = {
            let mut in_flight = self.in_flight();
            in_flight.suspect = false;
            self.client.keys().processing(&in_flight.name)
        };
        let list: Vec<Vec<u8>> = cmd("LRANGE").arg(&key).arg(0).arg(-1).query_async(link).await?;
        let strays = self.in_flight().strays(list);
        if !strays.is_empty() {
            tracing::info!(elements = strays.len(), "giving back elements whose move or removal is in doubt");
            self.give_back(link, &key, &strays).await?;
        }
        Ok(())
    }

    async fn wait_and_take(&self, link: &mut Link, max: usize) -> RedisResult<Vec<Delivery>> {
        let keys = self.client.keys();
        let block = self.client.settings().block;
        let mut wake = cmd("BLMOVE");
        wake.arg(&keys.records).arg(keys.processing(&self.in_flight().name)).arg("RIGHT").arg("LEFT");
        wake.arg(block.as_secs_f64());
        match wake.query_async::<Option<Vec<u8>>>(link).await {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(first)) => self.take(link, max, vec![first]).await,
            // At its `maxmemory` the server takes no blocking move, and an empty list stays empty: nobody can push.
            Err(error) if is_out_of_memory(&error) => {
                let deliveries = self.take(link, max, Vec::new()).await?;
                if deliveries.is_empty() {
                    sleep(block).await;
                }
                Ok(deliveries)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes what is there without waiting, behind what was taken before.
    async fn take(&self, link: &mut Link, max: usize, mut payloads: Vec<Vec<u8>>) -> RedisResult<Vec<Delivery>> {
        let keys = self.client.keys();
        let (name, expected) = {
            let in_flight = self.in_flight();
            (Arc::clone(&in_flight.name), in_flight.len() + payloads.len())
        };
        let wanted = max - payloads.len();
        let script_keys = [&*keys.records, &keys.processing(&name), &keys.consumers];
        let (length, moved): (i64, Vec<Vec<u8>>) = MOVE
            .run(link, &script_keys, |args| {
                args.arg(&*name).arg(wanted).arg(MOVE_BYTES_MAX);
            })
            .await?;
        let mut in_flight = self.in_flight();
        let Ok(length) = usize::try_from(length) else {
            // What was taken before lies in a list that is not ours any more; whoever sweeps it, gives it back.
            in_flight.membership = Membership::Lapsed;
            return Ok(Vec::new());
        };
        in_flight.suspect |= length > expected + moved.len();
        payloads.extend(moved);
        Ok(payloads.into_iter().map(|payload| in_flight.take(payload)).collect())
    }

    fn lease_ms(&self) -> u64 {
        u64::try_from(self.client.settings().lease.as_millis()).unwrap_or(u64::MAX)
    }
}
