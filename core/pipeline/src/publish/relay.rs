//! The relay: publishes the messages of committed batches, and removes their outbox entries.
//!
//! Usually a writer hands a committed batch over in memory, the relay publishes it, and the next commit removes its outbox
//! entry. If the relay can't keep up, the hand-off *spills*: batches are dropped from memory and read again from the
//! outbox, so that memory stays bounded. Entries that another instance abandoned are read from the outbox, too.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tallyhouse_core::ports::{
    ClaimScope, Clock, HistoryQuery, Outbox, OutboxEntry, OutboxId, Owner, PortError, PortErrorKind,
};
use tallyhouse_core::{Message, StoredRecord};
use tokio::sync::mpsc;

use crate::close_signal::CloseSignal;
use crate::dependency::breaker::{Breaker, BreakerState};
use crate::dependency::error_chain::ErrorChain;
use crate::publish::foreign_entries::ForeignEntries;
use crate::publish::handoff::{CommittedBatch, Handoff, HandoffState};
use crate::publish::publisher::Publisher;
use crate::settings::PipelineSettings;

/// Records per read from the store. The relay also joins waiting batches until they have this many: one call of the
/// emitter for each small batch would be too slow to catch up.
const PAGE_RECORDS: usize = 500;
/// The weight of the records whose messages are handed to the emitter at a time, in bytes. It holds them in JSON.
const EMIT_WEIGHT_MAX: usize = 4 * 1024 * 1024;
/// The outbox entries that are claimed at a time. While abandoned entries are published, new batches wait.
const CLAIM_BATCHES: usize = 64;
/// The polls of the outbox between two looks for entries of this instance that no writer hands over: a store that was
/// restored to an earlier state may have some. Four polls are one lease, so this is six leases.
const POLLS_PER_SWEEP: u32 = 24;
/// The most records of other instances between two batches that are read as one run.
const GAP_RECORDS: u64 = 16;

pub(crate) struct Relay {
    publisher: Publisher,
    clock: Arc<dyn Clock>,
    state: Arc<HandoffState>,
    close_signal: CloseSignal,
    settings: PipelineSettings,
    storage: Breaker,
    publishing: Breaker,
    /// Entries that `catch_up` has published. If a writer hands one of them over all the same, it is skipped.
    caught_up: HashSet<OutboxId>,
    foreign: ForeignEntries,
    /// The polls of the outbox that are left before the next sweep.
    polls_to_sweep: u32,
}

/// The events that end a wait of the relay.
enum Event {
    Committed(CommittedBatch),
    TimedOut,
    Closed,
}

impl Relay {
    pub(crate) fn new(
        publisher: Publisher,
        clock: Arc<dyn Clock>,
        handoff: &Handoff,
        close_signal: CloseSignal,
        settings: PipelineSettings,
        [storage, publishing]: [Breaker; 2],
    ) -> Self {
        let state = Arc::clone(&handoff.state);
        let (caught_up, foreign, polls_to_sweep) = (HashSet::new(), ForeignEntries::default(), POLLS_PER_SWEEP);
        Self {
            publisher,
            clock,
            state,
            close_signal,
            settings,
            storage,
            publishing,
            caught_up,
            foreign,
            polls_to_sweep,
        }
    }

    /// Works until the writers have ended and their last batches are published, or publishing has failed after the close.
    pub(crate) async fn run(mut self, fresh: mpsc::Receiver<CommittedBatch>) {
        let (outbox, clock) = (Arc::clone(&self.publisher.outbox), Arc::clone(&self.clock));
        let (owner, storage, lease) = (self.state.owner.clone(), self.storage.clone(), self.settings.lease);
        let renewals = keep_lease(&*outbox, &*clock, &storage, &owner, lease);
        // The lease is kept while publishing takes long, too.
        match select(pin!(renewals), pin!(self.publish_all(fresh))).await {
            Either::Left((never, _)) => match never {},
            Either::Right(((), _)) => {}
        }
        if !storage.is_open() {
            let ended = outbox.renew(&owner, Duration::ZERO).await;
            record_result(&storage, &ended, "ending the lease on outbox entries failed");
        }
    }

    async fn publish_all(&mut self, mut fresh: mpsc::Receiver<CommittedBatch>) {
        let mut next_poll = self.clock.elapsed();
        loop {
            if self.clock.elapsed() >= next_poll {
                let more = !self.storage.is_open() && self.poll_outbox().await;
                next_poll = self.clock.elapsed() + if more { Duration::ZERO } else { self.settings.lease / 4 };
            }
            let timeout = self.event_timeout(next_poll);
            match self.next_event(&mut fresh, timeout).await {
                Event::Committed(batch) => self.publish_fresh(batch, &mut fresh).await,
                Event::TimedOut => self.mark_published().await,
                Event::Closed => break,
            }
            // Batches that were handed over are older than those that are only in the store.
            if fresh.is_empty() {
                self.catch_up_if_spilled().await;
            }
        }
        self.catch_up_if_spilled().await;
        self.mark_published().await;
    }

    /// Returns how long to wait for a batch: until the next poll of the outbox, or shorter if there are entries to mark.
    fn event_timeout(&self, next_poll: Duration) -> Duration {
        let until_poll = next_poll.saturating_sub(self.clock.elapsed());
        if self.state.published().to_mark.is_empty() || self.storage.is_open() {
            return until_poll;
        }
        self.settings.mark_published_delay.min(until_poll)
    }

    async fn next_event(&self, fresh: &mut mpsc::Receiver<CommittedBatch>, timeout: Duration) -> Event {
        match select(pin!(fresh.recv()), pin!(self.clock.sleep(timeout))).await {
            Either::Left((Some(batch), _)) => Event::Committed(batch),
            Either::Left((None, _)) => Event::Closed,
            Either::Right(((), _)) => Event::TimedOut,
        }
    }

    /// Publishes a batch that was handed over, together with the batches that wait after it.
    async fn publish_fresh(&mut self, batch: CommittedBatch, waiting: &mut mpsc::Receiver<CommittedBatch>) {
        let (mut ids, mut records, mut committed) = (Vec::new(), Vec::new(), Vec::new());
        // The batches keep their reservations in the hand-off until they are published.
        let mut reservations = Vec::new();
        let mut next = Some(batch);
        while let Some(CommittedBatch { entry, stored, since, reservation }) = next {
            reservations.push(reservation);
            if !self.caught_up.remove(&entry.id) {
                committed.push((since, stored.len()));
                ids.push(entry.id);
                records.extend((entry.first..).zip(stored));
            }
            next = if records.len() < PAGE_RECORDS { waiting.try_recv().ok() } else { None };
        }
        if !ids.is_empty() && self.emit(&records).await {
            ids.into_iter().for_each(|id| self.note_published(id));
            let now = self.clock.elapsed();
            let waited = committed.into_iter().map(|(since, records)| (now.saturating_sub(since), records));
            waited.for_each(|(waited, records)| self.state.meter.published_after(waited, records));
        }
    }

    /// Publishes the messages of some records, a bounded part at a time. Returns `false` if the pipeline was closed before:
    /// the messages stay in the outbox.
    async fn emit(&self, stored: &[(u64, Arc<StoredRecord>)]) -> bool {
        for part in parts(stored) {
            if !self.emit_part(part).await {
                return false;
            }
        }
        true
    }

    /// Publishes the messages of some records, and retries until the emitter has them. Returns `false` if the pipeline
    /// was closed before.
    async fn emit_part(&self, stored: &[(u64, Arc<StoredRecord>)]) -> bool {
        let messages: Vec<Message> =
            stored.iter().flat_map(|(position, stored)| Message::all_of(*position, stored)).collect();
        let mut waits = self.settings.retry.waits(&*self.clock);
        loop {
            if !(self.publishing.is_open() && self.close_signal.is_closed()) {
                let Err(error) = self.publisher.emitter.emit(&messages).await else {
                    self.publishing.record_success();
                    tracing::debug!(
                        trace_id = stored.iter().find_map(|(_, stored)| stored.trace_id()),
                        records = stored.len(),
                        messages = messages.len(),
                        "messages are published"
                    );
                    self.state.meter.published(&messages);
                    return true;
                };
                self.state.meter.publishing_failed();
                self.publishing.record_failure("publishing failed", &error);
            }
            if self.close_signal.is_closed() {
                self.state.set_spilled(true);
                return false;
            }
            let wait = waits.next().unwrap_or(self.settings.retry.wait_max);
            let waited = async {
                if self.publishing.is_open() {
                    self.publishing.probe(|| self.publisher.emitter.ping()).await;
                } else {
                    self.clock.sleep(wait).await;
                }
            };
            select(pin!(waited), pin!(self.close_signal.closed())).await;
        }
    }

    fn note_published(&self, id: OutboxId) {
        let mut published = self.state.published();
        published.to_mark.push(id);
        published.unmarked.insert(id);
    }

    /// Counts how long it took to publish messages that were read from the store.
    fn measure_delay(&self, stored: &[(u64, Arc<StoredRecord>)]) {
        let now = self.clock.now().as_micros();
        for (_, record) in stored {
            let waited = now.saturating_sub(record.processed.processed_at.as_micros());
            // Another instance's clock may be ahead.
            let waited = Duration::from_micros(u64::try_from(waited).unwrap_or(0));
            self.state.meter.published_after(waited, 1);
        }
    }

    /// Marks the entries that are published and that no commit has taken along.
    async fn mark_published(&self) {
        if self.storage.is_open() {
            return;
        }
        let ids = std::mem::take(&mut self.state.published().to_mark);
        if ids.is_empty() {
            return;
        }
        let marked = self.publisher.outbox.mark_published(&self.state.owner, &ids).await;
        let mut published = self.state.published();
        match &marked {
            Ok(()) => ids.iter().for_each(|id| {
                published.unmarked.remove(id);
            }),
            Err(_) => published.to_mark.extend(ids),
        }
        drop(published);
        record_result(&self.storage, &marked, "marking messages as published failed");
    }

    /// Publishes abandoned entries. After a commit with an unknown result, and in each sweep, this instance's own
    /// entries are read from the store, too. Returns whether there may be more.
    async fn poll_outbox(&mut self) -> bool {
        self.polls_to_sweep = self.polls_to_sweep.checked_sub(1).unwrap_or(POLLS_PER_SWEEP - 1);
        if self.state.take_commit_unknown() || self.polls_to_sweep == 0 {
            self.state.set_spilled(true);
        }
        self.report_foreign().await;
        self.take_over().await
    }

    async fn report_foreign(&mut self) {
        let now = self.clock.elapsed();
        if self.foreign.is_due(now, self.settings.lease) {
            let refreshed = self.foreign.refresh(&*self.publisher.outbox, &self.state, now).await;
            record_result(&self.storage, &refreshed, "looking for messages of other emitters failed");
        }
    }

    /// Claims and publishes entries whose owner is gone. Returns whether there may be more.
    async fn take_over(&mut self) -> bool {
        let claimed = match self.publisher.outbox.claim(&self.state.owner, ClaimScope::Abandoned, CLAIM_BATCHES).await {
            Ok(batches) => batches,
            Err(error) => {
                record_result(&self.storage, &Err(error), "claiming abandoned messages failed");
                // The claim may have been carried out: then the entries are this instance's own now.
                self.state.note_commit_unknown();
                return false;
            }
        };
        self.storage.record_ping_success();
        if !claimed.is_empty() {
            tracing::info!(batches = claimed.len(), "publishing abandoned messages");
        }
        if let Err(error) = self.publish_stored(&claimed).await {
            // The entries are this instance's own now.
            self.state.set_spilled(true);
            record_result(&self.storage, &Err(error), "publishing abandoned messages failed");
        }
        claimed.len() == CLAIM_BATCHES
    }

    async fn catch_up_if_spilled(&mut self) {
        if self.state.is_spilled() && !self.storage.is_open() {
            let caught_up = self.catch_up().await;
            record_result(&self.storage, &caught_up, "publishing messages from the outbox failed");
        }
    }

    /// Publishes this instance's batches that are only in the store, then lets writers hand over again.
    ///
    /// The caller has published every batch that was handed over before. Writers hand nothing over while `spilled` is
    /// set.
    async fn catch_up(&mut self) -> Result<(), PortError> {
        self.caught_up.clear();
        while self.publish_own().await?.is_none() {}
        // From here on writers hand over again. The next call publishes the batches that they committed just before. It may
        // also find one that they hand over at the same time: `caught_up` lets the relay skip that one.
        self.state.set_spilled(false);
        match self.publish_own().await {
            Ok(None) => self.state.set_spilled(true),
            Ok(Some(())) => {}
            Err(error) => {
                self.state.set_spilled(true);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Publishes some of this instance's batches from the store. Returns `Some` if these were the last ones.
    async fn publish_own(&mut self) -> Result<Option<()>, PortError> {
        self.mark_published().await;
        // Copied before the claim: a commit may remove an entry from the store and from here while the claim's answer, which
        // still has it, is on its way.
        let unmarked = self.state.published().unmarked.clone();
        let claimed = self.publisher.outbox.claim(&self.state.owner, ClaimScope::Own, CLAIM_BATCHES).await?;
        let few = (claimed.len() < CLAIM_BATCHES).then_some(());
        let unpublished: Vec<OutboxEntry> = claimed.into_iter().filter(|batch| !unmarked.contains(&batch.id)).collect();
        if unpublished.is_empty() && few.is_none() {
            // All of them are published, and a commit in flight is removing them.
            self.clock.sleep(self.settings.mark_published_delay).await;
        }
        self.caught_up.extend(unpublished.iter().map(|batch| batch.id));
        let left = self.publish_stored(&unpublished).await?;
        left.iter().for_each(|id| {
            self.caught_up.remove(id);
        });
        // The next claim would find the same ones.
        let none_published = !left.is_empty() && left.len() == unpublished.len();
        Ok(if none_published { Some(()) } else { few })
    }

    /// Reads batches from the store and publishes them, small ones together. Returns the entries that it leaves
    /// unpublished, since the store has other records at their positions now.
    async fn publish_stored(&self, batches: &[OutboxEntry]) -> Result<HashSet<OutboxId>, PortError> {
        let mut left = HashSet::new();
        for run in runs(batches) {
            left.extend(self.publish_run(run).await?);
        }
        if !left.is_empty() {
            // The entries are gone with the later state. A sweep finds them if the store returns to it.
            let entries = left.len();
            tracing::warn!(entries, "the store has gone back: other records are at the positions of outbox entries");
        }
        Ok(left)
    }

    async fn publish_run(&self, run: &[OutboxEntry]) -> Result<HashSet<OutboxId>, PortError> {
        let mut left = HashSet::new();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(left) };
        let mut after = first.first.saturating_sub(1);
        while after < last.last {
            let rest = usize::try_from(last.last - after).unwrap_or(PAGE_RECORDS);
            let query = HistoryQuery { after, alerting_only: false, limit: rest.min(PAGE_RECORDS) };
            let mut page = self.publisher.reader.history(query).await?;
            let Some((reached, _)) = page.last() else {
                let lost = format!("no records at the positions {} to {}", after + 1, last.last);
                return Err(PortError::new(PortErrorKind::Corrupt, "reading unpublished messages", lost));
            };
            after = *reached;
            page.retain(|(position, stored)| {
                // Batches of other instances lie between these.
                let entry = run.iter().find(|entry| (entry.first..=entry.last).contains(position));
                left.extend(entry.filter(|entry| !entry.has(stored)).map(|entry| entry.id));
                entry.is_some_and(|entry| entry.has(stored))
            });
            if !page.is_empty() && !self.emit(&page).await {
                let stopping = "the pipeline was closed while the emitter was unavailable";
                return Err(PortError::new(PortErrorKind::Unavailable, "publishing from the outbox", stopping));
            }
            self.measure_delay(&page);
        }
        run.iter().filter(|entry| !left.contains(&entry.id)).for_each(|entry| self.note_published(entry.id));
        Ok(left)
    }
}

/// Cuts sorted batches into runs that are read and published as one page. A batch that is larger than a page is a run of
/// its own.
fn runs(batches: &[OutboxEntry]) -> impl Iterator<Item = &[OutboxEntry]> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let fits = |pair: &[OutboxEntry]| {
            let (before, batch) = (&pair[0], &pair[1]);
            let span = (batch.last + 1).saturating_sub(first.first);
            batch.first.saturating_sub(before.last) <= GAP_RECORDS + 1 && span <= PAGE_RECORDS as u64
        };
        let length = 1 + rest.windows(2).take_while(|pair| fits(pair)).count();
        let (run, others) = rest.split_at(length);
        rest = others;
        Some(run)
    })
}

/// Cuts records into parts that are light enough to be published at once.
fn parts(stored: &[(u64, Arc<StoredRecord>)]) -> impl Iterator<Item = &[(u64, Arc<StoredRecord>)]> {
    let mut weight = 0;
    stored.chunk_by(move |(_, before), _| {
        weight += before.weight();
        let goes_on = weight < EMIT_WEIGHT_MAX;
        weight = if goes_on { weight } else { 0 };
        goes_on
    })
}

/// Renews the lease, without end. After an outage it is renewed as soon as storage answers, since the outage may have
/// lasted longer than the lease.
async fn keep_lease(
    outbox: &dyn Outbox,
    clock: &dyn Clock,
    storage: &Breaker,
    owner: &Owner,
    lease: Duration,
) -> Infallible {
    loop {
        let reopened = async {
            let mut states = storage.watch();
            // The sender lives as long as the breaker.
            drop(states.wait_for(|state| *state == BreakerState::Open).await);
            storage.wait_while_open().await;
        };
        select(pin!(clock.sleep(lease / 3)), pin!(reopened)).await;
        if !storage.is_open() {
            let renewed = outbox.renew(owner, lease).await;
            record_result(storage, &renewed, "renewing the lease on outbox entries failed");
        }
    }
}

/// Tells the breaker of storage how a call ended. Failures other than an unavailable store are logged each time.
fn record_result(storage: &Breaker, result: &Result<(), PortError>, what: &'static str) {
    match result {
        Ok(()) => storage.record_ping_success(),
        Err(error) if error.kind() == PortErrorKind::Unavailable => storage.record_failure(what, error),
        Err(error) => tracing::warn!(error = %ErrorChain(error), "{what}"),
    }
}

#[cfg(test)]
mod tests;
