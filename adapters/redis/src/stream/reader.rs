//! Reads entries: this consumer's own pending ones, those that are claimed, and new ones.

use redis::{Cmd, RedisResult, Value, cmd};
use tallyhouse_core::ports::{Delivery, PAYLOAD_BYTES_MAX};
use tokio::time::Instant;

use super::consumer::Consumer;
use super::heartbeat::HEARTBEATS_PER_LEASE;
use crate::connection::{Connection, Script};
use crate::entry::Entry;
use crate::keys::GROUP;
use crate::settings::millis;

/// An id before every entry.
const START: &str = "0-0";

/// Bytes after which a read stops: they bound the result of one `receive`. The last few entries may exceed it by 4 MiB.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest entry that a read returns whole if it has no record, or several: its dead letter keeps all of it.
const ENTRY_BYTES_MAX: usize = 4 * PAYLOAD_BYTES_MAX;

static READ: Script = Script::new(concat!(
    include_str!("../digest.lua"),
    include_str!("scripts/entry.lua"),
    include_str!("scripts/read.lua")
));
static CLAIM: Script = Script::new(concat!(
    include_str!("../digest.lua"),
    include_str!("scripts/entry.lua"),
    include_str!("scripts/claim.lua")
));

/// The state of `receive`, which one call at a time uses.
pub(super) struct Reader {
    /// The connection that blocks. A call takes it out while it uses it: if the call is cancelled or fails, the
    /// connection is closed, and the next call reads again the entries that it had read.
    pub(super) connection: Option<Connection>,
    /// Whether there was a connection before.
    was_connected: bool,
    /// The entry after which to read this consumer's own pending entries; `None` if all of them are in flight here.
    pending_after: Option<String>,
    /// Where the next claim goes on, and its earliest time.
    claim_after: String,
    claim_at: Option<Instant>,
    /// The newest entry that was read: an entry that a wait hands out comes after it.
    newest: String,
    /// Whether the last call returned more than one entry: then more may be there, and the next call does not block.
    may_have_more: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            connection: None,
            was_connected: false,
            pending_after: None,
            claim_after: START.to_owned(),
            claim_at: None,
            newest: START.to_owned(),
            may_have_more: false,
        }
    }

    /// Notes that a new connection is made: entries whose delivery was lost with the last one are pending.
    pub(super) fn begin_connection(&mut self) {
        if std::mem::replace(&mut self.was_connected, true) {
            self.pending_after = Some(START.to_owned());
        }
    }

    /// Notes that the group was created again: its consumers read from the start of the stream.
    pub(super) fn begin_group(&mut self) {
        self.newest = START.to_owned();
    }

    /// Reads this consumer's own pending entries, then entries that can be claimed, then new ones.
    pub(super) async fn read(
        &mut self,
        consumer: &Consumer,
        connection: &mut Connection,
        max: usize,
    ) -> RedisResult<Vec<Delivery>> {
        while let Some(after) = self.pending_after.clone() {
            let read = Read { consumer, after: &after, max, and_new: false };
            let (pending_after, entries) = read.run(connection).await?;
            self.pending_after = (!pending_after.is_empty()).then_some(pending_after);
            let deliveries = self.deliver(consumer, connection, entries).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
        if consumer.take_nack() {
            // Nacked entries come again in their order, before all new ones.
            (self.claim_after, self.claim_at) = (START.to_owned(), None);
        }
        if self.claim_at.is_none_or(|at| at <= Instant::now()) {
            let deliveries = self.claim(consumer, connection, max).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
        self.read_new(consumer, connection, max).await
    }

    /// Reads new entries, and waits for the first if there may be none.
    async fn read_new(
        &mut self,
        consumer: &Consumer,
        connection: &mut Connection,
        max: usize,
    ) -> RedisResult<Vec<Delivery>> {
        let newest = self.newest.clone();
        let read = Read { consumer, after: &newest, max, and_new: true };
        let mut answer = (String::new(), Vec::new());
        if std::mem::take(&mut self.may_have_more) {
            answer = read.run(connection).await?;
        }
        if answer.1.is_empty() {
            answer = read.run_after_wait(connection).await?;
        }
        let (pending_after, entries) = answer;
        self.pending_after = (!pending_after.is_empty()).then_some(pending_after);
        if let Some(last) = entries.last() {
            self.newest.clone_from(&last.id);
        }
        let deliveries = self.deliver(consumer, connection, entries).await?;
        self.may_have_more = deliveries.len() > 1;
        Ok(deliveries)
    }

    async fn claim(
        &mut self,
        consumer: &Consumer,
        connection: &mut Connection,
        max: usize,
    ) -> RedisResult<Vec<Delivery>> {
        let lease = consumer.client.settings().lease;
        let (claim_after, entries): (String, Value) = CLAIM
            .run(connection, &[&consumer.client.keys().stream], |args| {
                args.arg(GROUP).arg(&consumer.name).arg(millis(lease)).arg(&self.claim_after);
                args.arg(max).arg(READ_BYTES_MAX).arg(PAYLOAD_BYTES_MAX).arg(ENTRY_BYTES_MAX);
            })
            .await?;
        self.claim_at = (claim_after == START).then(|| Instant::now() + lease / HEARTBEATS_PER_LEASE);
        self.claim_after = claim_after;
        let deliveries = self.deliver(consumer, connection, Entry::read_all(entries)?).await?;
        if !deliveries.is_empty() {
            tracing::info!(entries = deliveries.len(), "claimed entries that were nacked or abandoned");
        }
        Ok(deliveries)
    }

    /// Makes deliveries of entries, without those that are in flight here already and those that were deleted.
    async fn deliver(
        &mut self,
        consumer: &Consumer,
        connection: &mut Connection,
        entries: Vec<Entry>,
    ) -> RedisResult<Vec<Delivery>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (deleted, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(Entry::is_deleted);
        if deleted.iter().any(|entry| entry.id.is_empty()) {
            // The claim has made them this consumer's own pending entries, where their ids are found.
            self.pending_after = Some(START.to_owned());
        }
        let ids: Vec<_> = deleted.into_iter().map(|entry| entry.id).filter(|id| !id.is_empty()).collect();
        if !ids.is_empty() {
            consumer.remove(connection, &ids).await?;
        }
        Ok(consumer.in_flight.add(entries))
    }
}

/// One run of the script that reads entries.
struct Read<'a> {
    consumer: &'a Consumer,
    /// The id after which this consumer's own pending entries are read.
    after: &'a str,
    max: usize,
    /// Whether new entries are read, too.
    and_new: bool,
}

impl Read<'_> {
    /// Returns the id after which more pending entries may follow, or an empty text; and the entries.
    async fn run(&self, connection: &mut Connection) -> RedisResult<(String, Vec<Entry>)> {
        let answer = READ.run(connection, &[&self.consumer.client.keys().stream], |args| self.add_to(args)).await;
        Self::parse(answer?)
    }

    /// Waits for a new entry first. The wait makes it pending, and the script reads it from there.
    async fn run_after_wait(&self, connection: &mut Connection) -> RedisResult<(String, Vec<Entry>)> {
        let Consumer { client, name, .. } = self.consumer;
        let stream = &*client.keys().stream;
        let mut wait = cmd("XREADGROUP");
        wait.arg("GROUP").arg(GROUP).arg(name).arg("COUNT").arg(1);
        wait.arg("BLOCK").arg(millis(client.settings().block)).arg("STREAMS").arg(stream).arg(">");
        Self::parse(READ.run_after(&wait, connection, &[stream], |args| self.add_to(args)).await?)
    }

    fn add_to(&self, args: &mut Cmd) {
        args.arg(GROUP).arg(&self.consumer.name).arg(self.after).arg(self.max).arg(READ_BYTES_MAX);
        args.arg(u8::from(self.and_new)).arg(PAYLOAD_BYTES_MAX).arg(ENTRY_BYTES_MAX);
    }

    fn parse((pending_after, entries): (String, Value)) -> RedisResult<(String, Vec<Entry>)> {
        Ok((pending_after, Entry::read_all(entries)?))
    }
}
