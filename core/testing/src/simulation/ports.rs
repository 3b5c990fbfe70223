//! The ports of one instance, with the faults that are drawn for each call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::doubles::fault_injection::{Call, Gate};
use crate::memory::source::ScriptedSource;
use crate::simulation::workload::is_poisonous;
use crate::simulation::world::{FaultRates, Port, SERVERS, World, unavailable};
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use tallyhouse_core::ports::{
    Acknowledgement, Clock as _, Delivery, Disposition, MessageEmitter, PartStream, PortError, PortErrorKind,
    RecordSource,
};
use tallyhouse_core::{Message, MessageFormat};
use tokio::sync::oneshot;

/// How one call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallResult {
    Succeeds,
    FailsBefore,
    FailsAfter,
    DoneLate,
}

/// The connection to a server, with its delays and faults.
#[derive(Clone)]
struct Connection {
    world: Arc<World>,
    port: Port,
    /// The instance that calls, for the trace.
    owner: Arc<str>,
}

impl Connection {
    fn faults(&self) -> FaultRates {
        let fault_profile = self.world.fault_profile();
        match self.port {
            Port::Storage => fault_profile.storage,
            Port::Emitter => fault_profile.emitter,
            Port::Queue => fault_profile.queue,
        }
    }

    fn result(&self) -> CallResult {
        let faults = self.faults();
        if self.world.outage(self.port).is_some() || self.world.chance(faults.fails_before) {
            CallResult::FailsBefore
        } else if self.world.chance(faults.fails_after) {
            CallResult::FailsAfter
        } else if self.world.chance(faults.done_late) {
            CallResult::DoneLate
        } else {
            CallResult::Succeeds
        }
    }

    /// Delays the call, mostly by nothing.
    async fn delay(&self) {
        let faults = self.faults();
        let wait = if self.world.chance(faults.is_slow) {
            self.world.below(faults.slow_max)
        } else if self.world.chance(300) {
            self.world.below(Duration::from_millis(5))
        } else {
            return;
        };
        self.world.clock().sleep(wait).await;
    }

    /// Waits for as long as a silent outage lasts.
    async fn connect(&self) {
        self.delay().await;
        if let Some(outage) = self.world.outage(self.port).filter(|outage| outage.is_silent) {
            let clock = self.world.clock();
            // Longer than the outage: its end closes no connection.
            let rest = self.world.below(Duration::from_secs(5));
            clock.sleep(outage.until.saturating_sub(clock.elapsed()) + rest).await;
        }
    }

    /// Pings the server.
    async fn ping(&self) -> Result<(), PortError> {
        self.connect().await;
        match self.result() {
            CallResult::Succeeds => Ok(()),
            CallResult::FailsBefore | CallResult::FailsAfter | CallResult::DoneLate => Err(unavailable("ping")),
        }
    }

    /// Runs the work on the server, where it continues when the caller is dropped.
    async fn send<T: Send + 'static>(
        &self,
        what: &'static str,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.connect().await;
        let result = self.result();
        if result != CallResult::Succeeds {
            self.world.note(|| format!("{}: {what}: {result:?}", self.owner));
        }
        if result == CallResult::FailsBefore {
            return Err(unavailable(what));
        }
        let (reply, answer) = oneshot::channel();
        let way = self.clone();
        self.world.executor.spawn(SERVERS, async move {
            if result == CallResult::DoneLate {
                let late = way.world.below(Duration::from_secs(2));
                way.world.clock().sleep(late).await;
            }
            let done = work.await;
            way.world.note(|| format!("{}: {what}: {}", way.owner, if done.is_ok() { "done" } else { "refused" }));
            // The caller may be gone.
            drop(reply.send(done));
        });
        if result == CallResult::DoneLate {
            return Err(unavailable(what));
        }
        let done = answer.await.map_err(|_| unavailable(what))?;
        self.delay().await;
        if result == CallResult::FailsAfter { Err(unavailable(what)) } else { done }
    }
}

/// The gate before the store.
pub(super) struct StorageGate(Connection);

impl StorageGate {
    pub(super) fn new(world: &Arc<World>, owner: &Arc<str>) -> Self {
        Self(Connection { world: Arc::clone(world), port: Port::Storage, owner: Arc::clone(owner) })
    }

    /// Refuses poisonous records, and every record while the disk is full.
    fn judge(way: &Connection, call: &Call) -> Result<(), PortError> {
        let world = &way.world;
        let refused = match call {
            Call::Commit(batch) => {
                world.is_full() || batch.arrivals.iter().any(|arrival| is_poisonous(&arrival.record))
            }
            Call::Write(_) | Call::Read(_) | Call::Ping | Call::PingWrite => false,
        };
        if refused {
            world.note(|| format!("{}: storage refuses {}", way.owner, describe(call)));
            return Err(PortError::new(PortErrorKind::Refused, "committing a batch", "so drawn"));
        }
        Ok(())
    }
}

#[async_trait]
impl Gate for StorageGate {
    async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let world = &self.0.world;
        if matches!(call, Call::Ping | Call::PingWrite) && world.chance(world.fault_profile().wrong_pings) {
            let is_unavailable = world.outage(Port::Storage).is_some();
            return if is_unavailable { work.await } else { Err(unavailable("asking the store")) };
        }
        let what = match &call {
            Call::Commit(_) => "commit",
            Call::Write(what) | Call::Read(what) => what,
            Call::Ping => "ping",
            Call::PingWrite => "ping write",
        };
        world.note(|| format!("{}: {}", self.0.owner, describe(&call)));
        let way = self.0.clone();
        let begun = matches!(call, Call::Commit(_)).then(|| world.begin_commit());
        let judged = async move {
            let _begun = begun;
            Self::judge(&way, &call)?;
            let done = work.await;
            if matches!(call, Call::Commit(_)) {
                // Also after a commit that stored nothing: its outcomes may rest on records that only this store has.
                way.world.before_answer().await?;
            }
            if matches!(call, Call::Read("history") | Call::Write("claim own" | "claim abandoned")) {
                way.world.between_calls();
            }
            done
        };
        self.0.send(what, Box::pin(judged)).await
    }

    fn shorten<T: Send>(&self, mut page: Vec<T>) -> Vec<T> {
        if self.0.world.chance(self.0.faults().is_partial) {
            // Never to an empty page, which would mean that there is no more.
            let length = 1 + self.0.world.draw(|rng| rng.below(page.len().max(1) as u64));
            page.truncate(usize::try_from(length).unwrap());
        }
        page
    }

    fn cut<T: Send + 'static>(&self, parts: PartStream<T>) -> PartStream<T> {
        if !self.0.world.chance(self.0.faults().is_partial) {
            return parts;
        }
        let length = usize::try_from(self.0.world.draw(|rng| rng.below(20))).unwrap();
        let end = stream::once(async { Err(unavailable("reading on")) });
        Box::pin(parts.take(length).chain(end))
    }
}

fn describe(call: &Call) -> String {
    match call {
        Call::Commit(batch) => {
            let ids: Vec<&str> = batch.arrivals.iter().map(|arrival| arrival.record.record_id.as_str()).collect();
            let published: Vec<u64> = batch.published.iter().map(|id| id.first()).collect();
            format!("commit {} with published {published:?}", ids.join(" "))
        }
        Call::Write(what) | Call::Read(what) => (*what).to_owned(),
        Call::Ping => "ping".to_owned(),
        Call::PingWrite => "ping write".to_owned(),
    }
}

/// An emitter that notes in the ledger every message that reached the server.
pub(super) struct SeededEmitter(Connection);

impl SeededEmitter {
    pub(super) fn new(world: &Arc<World>, owner: &Arc<str>) -> Self {
        Self(Connection { world: Arc::clone(world), port: Port::Emitter, owner: Arc::clone(owner) })
    }
}

#[async_trait]
impl MessageEmitter for SeededEmitter {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        let world = Arc::clone(&self.0.world);
        let mut reached = messages.len();
        let is_partial = world.chance(self.0.faults().is_partial);
        if is_partial {
            reached = usize::try_from(world.draw(|rng| rng.below(messages.len().max(1) as u64))).unwrap();
        }
        world.note(|| {
            let ids: Vec<String> = messages.iter().map(Message::id).collect();
            format!("{}: emit {} ({reached} of them)", self.0.owner, ids.join(" "))
        });
        let lines = messages[..reached].iter().map(|message| (message.id(), MessageFormat::default().to_json(message)));
        let lines: Vec<(String, String)> = lines.collect();
        let work = async move {
            world.ledger.lock().unwrap().published.extend(lines);
            Ok(())
        };
        self.0.send("emit", Box::pin(work)).await?;
        if is_partial { Err(unavailable("publishing")) } else { Ok(()) }
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.0.ping().await
    }
}

/// A consumer's connection to the queue that all instances share. A lost connection returns its deliveries to the queue
/// while their receiver goes on: two consumers then have the same payload.
pub(super) struct SeededSource {
    way: Connection,
    connection: Mutex<Arc<ScriptedSource>>,
}

impl SeededSource {
    pub(super) fn new(world: &Arc<World>, owner: &Arc<str>, queue: &ScriptedSource) -> Self {
        let way = Connection { world: Arc::clone(world), port: Port::Queue, owner: Arc::clone(owner) };
        Self { way, connection: Mutex::new(Arc::new(queue.another())) }
    }

    fn connection(&self) -> Arc<ScriptedSource> {
        Arc::clone(&self.connection.lock().unwrap())
    }

    /// Loses the connection.
    pub(super) fn reconnect(&self) {
        self.way.world.note(|| format!("{}: the connection to the queue is lost", self.way.owner));
        let another = Arc::new(self.connection().another());
        let lost = std::mem::replace(&mut *self.connection.lock().unwrap(), another);
        // A call in flight keeps the old connection until it ends.
        drop(lost);
    }
}

#[async_trait]
impl RecordSource for SeededSource {
    fn name(&self) -> &'static str {
        "seeded"
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError> {
        self.way.connect().await;
        let result = self.way.result();
        if result == CallResult::FailsBefore {
            return Err(unavailable("receiving"));
        }
        let mut deliveries = self.connection().receive(max).await?;
        self.way.world.draw(|rng| rng.shuffle(&mut deliveries));
        let world = &self.way.world;
        world.note(|| format!("{}: receives {} payloads: {result:?}", self.way.owner, deliveries.len()));
        self.way.delay().await;
        if result != CallResult::Succeeds {
            self.reconnect();
            return Err(unavailable("receiving"));
        }
        if world.chance(self.way.faults().is_partial) {
            self.reconnect();
        }
        Ok(deliveries)
    }

    async fn ack(&self, mut acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let (world, connection) = (Arc::clone(&self.way.world), self.connection());
        let is_partial = world.chance(self.way.faults().is_partial);
        if is_partial {
            let kept = world.draw(|rng| {
                rng.shuffle(&mut acknowledgements);
                rng.below(acknowledgements.len() as u64 + 1)
            });
            acknowledgements.truncate(usize::try_from(kept).unwrap());
        }
        world.note(|| {
            let verdicts: Vec<&str> =
                acknowledgements.iter().map(|acknowledgement| name(&acknowledgement.disposition)).collect();
            format!("{}: acknowledges {}", self.way.owner, verdicts.join(" "))
        });
        let work = async move { connection.ack(acknowledgements).await };
        let done = self.way.send("acknowledge deliveries", Box::pin(work)).await;
        if is_partial || done.is_err() {
            self.reconnect();
            return Err(unavailable("acknowledging"));
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.way.ping().await
    }
}

fn name(disposition: &Disposition) -> &'static str {
    match disposition {
        Disposition::Ack => "ack",
        Disposition::DeadLetter { reason, .. } => reason.name(),
        Disposition::Nack => "nack",
    }
}
