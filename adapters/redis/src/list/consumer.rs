//! One consumer of the list: its registration, its processing list, and how elements come into that list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{RedisResult, Value, cmd};
use tallyhouse_core::ports::{Clock, Delivery, PAYLOAD_BYTES_MAX};
use tokio::sync::{Notify, RwLock};
use tokio::time::sleep;

use super::element::Element;
use super::in_flight::{InFlight, Membership};
use crate::client::RedisClient;
use crate::connection::{Connection, Script};
use crate::error::{is_out_of_memory, is_wrong_type};
use crate::settings::millis;

/// The name of the source in logs and dead letters.
pub(super) const NAME: &str = "list";

/// Bytes after which a move stops: they bound the result of one `receive`. The last few elements may exceed it by 1
/// MiB.
const MOVE_BYTES_MAX: usize = 8 * 1024 * 1024;

static REGISTER: Script =
    Script::new(concat!(include_str!("scripts/wake_key.lua"), include_str!("scripts/register.lua")));
static MOVE: Script = Script::new(concat!(
    include_str!("scripts/wake_key.lua"),
    include_str!("../digest.lua"),
    include_str!("scripts/element.lua"),
    include_str!("scripts/move.lua")
));
static READ: Script = Script::new(concat!(
    include_str!("../digest.lua"),
    include_str!("scripts/element.lua"),
    include_str!("scripts/read.lua")
));

/// The state that receiving, acknowledging and the heartbeat share.
pub(super) struct Consumer {
    pub(super) client: RedisClient,
    pub(super) clock: Arc<dyn Clock>,
    in_flight: Mutex<InFlight>,
    /// Locked for reading by each acknowledgement, and for writing by a reconciliation: an element must not leave the
    /// processing list while that is compared with the elements in flight.
    pub(super) acking: RwLock<()>,
    /// Notified after each registration. The server did not know this consumer, so it may have lost others, too.
    pub(super) registered: Notify,
}

impl Consumer {
    pub(super) fn new(client: &RedisClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: client.clone(),
            clock,
            in_flight: Mutex::new(InFlight::new()),
            acking: RwLock::default(),
            registered: Notify::new(),
        }
    }

    pub(super) fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lease_ms(&self) -> u64 {
        millis(self.client.settings().lease)
    }

    /// Registers the consumer if it is not, else reconciles its processing list.
    pub(super) async fn prepare(&self, connection: &mut Connection) -> RedisResult<()> {
        if self.in_flight().membership == Membership::Registered {
            self.renew_lease(connection).await?;
        }
        if self.in_flight().membership == Membership::Registered {
            return self.reconcile(connection).await;
        }
        self.register(connection).await
    }

    async fn register(&self, connection: &mut Connection) -> RedisResult<()> {
        let (name, previous_name) = {
            let mut in_flight = self.in_flight();
            in_flight.rename();
            (Arc::clone(&in_flight.name), in_flight.previous_name.clone())
        };
        let lease_ms = self.lease_ms();
        let keys = self.client.keys();
        REGISTER
            .run::<()>(connection, &[&keys.consumers, &keys.wake, &keys.records], |args| {
                args.arg(&*name).arg(lease_ms).arg(previous_name.as_deref().unwrap_or_default());
            })
            .await?;
        let mut in_flight = self.in_flight();
        in_flight.previous_name = None;
        in_flight.membership = Membership::Registered;
        drop(in_flight);
        self.registered.notify_one();
        Ok(())
    }

    /// Requeues those elements of the processing list that are not in flight here.
    async fn reconcile(&self, connection: &mut Connection) -> RedisResult<()> {
        let _no_acks = self.acking.write().await;
        let key = {
            let mut in_flight = self.in_flight();
            in_flight.needs_reconciliation = false;
            self.client.keys().processing(&in_flight.name)
        };
        let list: Vec<Element> = READ
            .run(connection, &[&key], |args| {
                args.arg(PAYLOAD_BYTES_MAX);
            })
            .await?;
        let untracked = self.in_flight().untracked(list);
        if !untracked.is_empty() {
            tracing::info!(elements = untracked.len(), "requeueing elements whose move or removal was not confirmed");
            self.nack(connection, &key, &untracked).await?;
        }
        Ok(())
    }

    /// Waits for elements, and takes them.
    pub(super) async fn wait_and_take(&self, connection: &mut Connection, max: usize) -> RedisResult<Vec<Delivery>> {
        let keys = self.client.keys();
        let block = self.client.settings().block;
        let mut wait = cmd("BLMOVE");
        wait.arg(&keys.records).arg(&keys.wake).arg("RIGHT").arg("LEFT").arg(block.as_secs_f64());
        match wait.query_async::<Option<Value>>(connection).await {
            Ok(None) => Ok(Vec::new()),
            // The server has lost the wake key and made a list of it. The move puts the element back.
            Ok(Some(_)) => self.take(connection, max).await,
            // An element is there: it can't be moved to the wake key. If the records are no list, the move fails too.
            Err(error) if is_wrong_type(&error) => self.take(connection, max).await,
            // At its `maxmemory` the server refuses `BLMOVE`. An empty list stays empty: producers can't push.
            Err(error) if is_out_of_memory(&error) => {
                let deliveries = self.take(connection, max).await?;
                if deliveries.is_empty() {
                    sleep(block).await;
                }
                Ok(deliveries)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes available elements without waiting.
    pub(super) async fn take(&self, connection: &mut Connection, max: usize) -> RedisResult<Vec<Delivery>> {
        let keys = self.client.keys();
        let (name, expected) = {
            let in_flight = self.in_flight();
            (Arc::clone(&in_flight.name), in_flight.len())
        };
        let script_keys = [&*keys.records, &keys.processing(&name), &keys.consumers, &keys.wake];
        let (length, moved): (i64, Vec<Element>) = MOVE
            .run(connection, &script_keys, |args| {
                args.arg(&*name).arg(max).arg(MOVE_BYTES_MAX).arg(PAYLOAD_BYTES_MAX);
            })
            .await?;
        let mut in_flight = self.in_flight();
        let Ok(length) = usize::try_from(length) else {
            in_flight.membership = Membership::Expired;
            return Ok(Vec::new());
        };
        in_flight.needs_reconciliation |= length > expected + moved.len();
        Ok(moved.into_iter().map(|element| in_flight.add(element)).collect())
    }
}
