//! The relay: publishes what committed batches owe, and settles what has been published.
//!
//! The usual way is short: a writer hands a committed batch over in memory, the relay publishes it, and the next commit
//! settles it. Where the relay can't keep up, memory stays bounded: batches are dropped here, and read again from the
//! outbox, where they are owed all the same. Batches that another instance left spilled come by the same way.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::closing::Closing;
use crate::dependency::breaker::{Breaker, BreakerState};
use crate::dependency::error_chain::ErrorChain;
use crate::publish::handoff::{CommittedBatch, Handoff, HandoffState};
use crate::publish::publisher::Publisher;
use crate::settings::PipelineSettings;
use futures::future::{Either, select};
use tallyhouse_core::ports::{
    ClaimScope, Clock, HistoryQuery, Outbox, OutboxEntry, OutboxId, Owner, PortError, PortErrorKind,
};
use tallyhouse_core::{Message, StoredRecord};
use tokio::sync::mpsc;

/// How many records are read back from the store at a time, and at how many no further batch is added to those that are
/// published together. Small batches in turn would each wait for an answer of the emitter, and never catch up.
const PAGE_RECORDS: usize = 500;
/// How many owed batches are claimed at a time. Those that others left spilled hold up new ones meanwhile.
const CLAIM_BATCHES: usize = 64;
/// Up to how many records of others may lie between two batches that are read back as one run.
const GAP_RECORDS: u64 = 16;

pub(crate) struct Relay {
    publisher: Publisher,
    clock: Arc<dyn Clock>,
    state: Arc<HandoffState>,
    closing: Closing,
    settings: PipelineSettings,
    storage: Breaker,
    publishing: Breaker,
    /// Batches that were published from the store while a writer may have been handing them over.
    swept: HashSet<OutboxId>,
}

/// What the relay woke up for.
enum Event {
    Committed(CommittedBatch),
    Quiet,
    Closed,
}

impl Relay {
    pub(crate) fn new(
        publisher: Publisher,
        clock: Arc<dyn Clock>,
        handoff: &Handoff,
        closing: Closing,
        settings: PipelineSettings,
        [storage, publishing]: [Breaker; 2],
    ) -> Self {
        let state = Arc::clone(&handoff.state);
        Self { publisher, clock, state, closing, settings, storage, publishing, swept: HashSet::new() }
    }

    /// Works until the writers have ended and what they handed over is published, as far as that can be done.
    pub(crate) async fn run(mut self, fresh: mpsc::Receiver<CommittedBatch>) {
        let (outbox, clock) = (Arc::clone(&self.publisher.outbox), Arc::clone(&self.clock));
        let (owner, storage, lease) = (self.state.owner.clone(), self.storage.clone(), self.settings.lease);
        let renewals = renew_again_and_again(&*outbox, &*clock, &storage, &owner, lease);
        // The lease is kept also while publishing takes long.
        match select(pin!(renewals), pin!(self.publish_all(fresh))).await {
            Either::Left((never, _)) => match never {},
            Either::Right(((), _)) => {}
        }
        if !storage.is_open() {
            let ended = outbox.renew(&owner, Duration::ZERO).await;
            note(&storage, &ended, "giving up the lease on owed messages failed");
        }
    }

    async fn publish_all(&mut self, mut fresh: mpsc::Receiver<CommittedBatch>) {
        let mut next_look = self.clock.elapsed();
        loop {
            if self.clock.elapsed() >= next_look {
                let more = !self.storage.is_open() && self.look().await;
                next_look = self.clock.elapsed() + if more { Duration::ZERO } else { self.settings.lease / 4 };
            }
            let patience = self.patience(next_look);
            match self.next_event(&mut fresh, patience).await {
                Event::Committed(batch) => self.publish_fresh(batch, &mut fresh).await,
                Event::Quiet => self.settle().await,
                Event::Closed => break,
            }
            // What was handed over before is older than what is only in the store.
            if fresh.is_empty() {
                self.catch_up_if_spilled().await;
            }
        }
        self.catch_up_if_spilled().await;
        self.settle().await;
    }

    /// For how long nothing may happen: a short while if something could be settled, else until the next look for what
    /// others left.
    fn patience(&self, next_look: Duration) -> Duration {
        let until_look = next_look.saturating_sub(self.clock.elapsed());
        if self.state.published().to_mark.is_empty() || self.storage.is_open() {
            return until_look;
        }
        self.settings.mark_published_delay.min(until_look)
    }

    async fn next_event(&self, fresh: &mut mpsc::Receiver<CommittedBatch>, patience: Duration) -> Event {
        match select(pin!(fresh.recv()), pin!(self.clock.sleep(patience))).await {
            Either::Left((Some(batch), _)) => Event::Committed(batch),
            Either::Left((None, _)) => Event::Closed,
            Either::Right(((), _)) => Event::Quiet,
        }
    }

    /// Publishes a batch that was handed over, together with those that wait spilled it.
    async fn publish_fresh(&mut self, batch: CommittedBatch, waiting: &mut mpsc::Receiver<CommittedBatch>) {
        let (mut ids, mut records, mut committed) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(batch);
        while let Some(CommittedBatch { entry, stored, since }) = next {
            if !self.swept.remove(&entry.id) {
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

    /// Publishes the messages of some records, trying until it is done; `false` if the pipeline was closed before: they
    /// stay owed.
    async fn emit(&self, stored: &[(u64, Arc<StoredRecord>)]) -> bool {
        let messages: Vec<Message> =
            stored.iter().flat_map(|(position, stored)| Message::all_of(*position, stored)).collect();
        let mut waits = self.settings.retry.waits(&*self.clock);
        loop {
            if !(self.publishing.is_open() && self.closing.is_closed()) {
                let Err(error) = self.publisher.emitter.emit(&messages).await else {
                    self.publishing.succeeded();
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
                self.publishing.failed("publishing failed", &error);
            }
            if self.closing.is_closed() {
                self.state.set_spilled(true);
                return false;
            }
            let wait = waits.next().unwrap_or(self.settings.retry.wait_max);
            let rested = async {
                if self.publishing.is_open() {
                    self.publishing.probe(|| self.publisher.emitter.ping()).await;
                } else {
                    self.clock.sleep(wait).await;
                }
            };
            select(pin!(rested), pin!(self.closing.closed())).await;
        }
    }

    fn note_published(&self, id: OutboxId) {
        let mut published = self.state.published();
        published.to_mark.push(id);
        published.unmarked.insert(id);
    }

    /// Counts how long it took until messages were published that had gone by way of the store.
    fn note_late(&self, stored: &[(u64, Arc<StoredRecord>)]) {
        let now = self.clock.now().as_micros();
        for (_, record) in stored {
            let waited = now.saturating_sub(record.processed.processed_at.as_micros());
            // Another instance's clock may be ahead.
            let waited = Duration::from_micros(u64::try_from(waited).unwrap_or(0));
            self.state.meter.published_after(waited, 1);
        }
    }

    /// Settles what has been published and no commit has settled.
    async fn settle(&self) {
        if self.storage.is_open() {
            return;
        }
        let ids = std::mem::take(&mut self.state.published().to_mark);
        if ids.is_empty() {
            return;
        }
        let settled = self.publisher.outbox.mark_published(&self.state.owner, &ids).await;
        let mut published = self.state.published();
        match &settled {
            Ok(()) => ids.iter().for_each(|id| {
                published.unmarked.remove(id);
            }),
            Err(_) => published.to_mark.extend(ids),
        }
        drop(published);
        note(&self.storage, &settled, "settling published messages failed");
    }

    /// Looks for what others left and, where a commit is in doubt, for what this instance owes without knowing it; says
    /// whether there is more.
    async fn look(&mut self) -> bool {
        if self.state.take_commit_unknown() {
            self.state.set_spilled(true);
        }
        self.take_over().await
    }

    /// Publishes what nobody alive owes; says whether there is more.
    async fn take_over(&mut self) -> bool {
        let claimed = match self.publisher.outbox.claim(&self.state.owner, ClaimScope::Abandoned, CLAIM_BATCHES).await {
            Ok(batches) => batches,
            Err(error) => {
                note(&self.storage, &Err(error), "looking for messages that were left spilled failed");
                // It may have been done all the same: then they are this instance's own now.
                self.state.note_commit_unknown();
                return false;
            }
        };
        self.storage.answered();
        if !claimed.is_empty() {
            tracing::info!(batches = claimed.len(), "publishing messages that were left spilled");
        }
        if let Err(error) = self.publish_stored(&claimed).await {
            // They are this instance's own now.
            self.state.set_spilled(true);
            note(&self.storage, &Err(error), "publishing messages that were left spilled failed");
        }
        claimed.len() == CLAIM_BATCHES
    }

    async fn catch_up_if_spilled(&mut self) {
        if self.state.is_spilled() && !self.storage.is_open() {
            let caught_up = self.catch_up().await;
            note(&self.storage, &caught_up, "catching up with owed messages failed");
        }
    }

    /// Publishes this instance's batches that are only in the store, and says when writers may hand over again.
    ///
    /// While `spilled` is set nothing is handed over, and it is called when all that was handed over before is
    /// published.
    async fn catch_up(&mut self) -> Result<(), PortError> {
        self.swept.clear();
        while self.publish_own().await?.is_none() {}
        // From here on writers hand over again. What they committed just before is swept up now, and with it perhaps
        // something that they hand over at the same time: that is passed over when it comes.
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

    /// Publishes some of this instance's batches from the store; `Some` if there were few, so that there may be no
    /// more.
    async fn publish_own(&mut self) -> Result<Option<()>, PortError> {
        self.settle().await;
        let claimed = self.publisher.outbox.claim(&self.state.owner, ClaimScope::Own, CLAIM_BATCHES).await?;
        let few = (claimed.len() < CLAIM_BATCHES).then_some(());
        let owed: Vec<OutboxEntry> = {
            let published = self.state.published();
            claimed.into_iter().filter(|batch| !published.unmarked.contains(&batch.id)).collect()
        };
        if owed.is_empty() && few.is_none() {
            // All of them are published, and some commit is settling them.
            self.clock.sleep(self.settings.mark_published_delay).await;
        }
        self.swept.extend(owed.iter().map(|batch| batch.id));
        self.publish_stored(&owed).await?;
        Ok(few)
    }

    /// Reads batches back and publishes them, small ones together.
    async fn publish_stored(&self, batches: &[OutboxEntry]) -> Result<(), PortError> {
        for run in runs(batches) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let mut after = first.first.saturating_sub(1);
            while after < last.last {
                let left = usize::try_from(last.last - after).unwrap_or(PAGE_RECORDS);
                let query = HistoryQuery { after, alerting_only: false, limit: left.min(PAGE_RECORDS) };
                let page = self.publisher.reader.history(query).await?;
                let Some((reached, _)) = page.last() else {
                    let lost = format!("no records at the positions {} to {}", after + 1, last.last);
                    return Err(PortError::new(PortErrorKind::Corrupt, "reading owed messages", lost));
                };
                after = *reached;
                // Between the batches lie those of other instances.
                let is_owed = |position: u64| run.iter().any(|batch| (batch.first..=batch.last).contains(&position));
                let stored: Vec<_> = page.into_iter().filter(|(position, _)| is_owed(*position)).collect();
                if !stored.is_empty() && !self.emit(&stored).await {
                    let stopping = "the pipeline was closed while the emitter was away";
                    return Err(PortError::new(PortErrorKind::Unavailable, "publishing owed messages", stopping));
                }
                self.note_late(&stored);
            }
            run.iter().for_each(|batch| self.note_published(batch.id));
        }
        Ok(())
    }
}

/// Cuts batches, which are sorted, into runes of few enough records to be read and published as one page. A batch
/// that is larger stands alone.
fn runs(batches: &[OutboxEntry]) -> impl Iterator<Item = &[OutboxEntry]> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let fits = |pair: &[OutboxEntry]| {
            let (before, batch) = (&pair[0], &pair[1]);
            let span = (batch.last + 1).saturating_sub(first.first);
            batch.first.saturating_sub(before.last) <= GAP_RECORDS + 1 && span <= PAGE_RECORDS as u64
        };
        let together = 1 + rest.windows(2).take_while(|pair| fits(pair)).count();
        let (run, spilled) = rest.split_at(together);
        rest = spilled;
        Some(run)
    })
}

/// Keeps the lease, without end. An outage may have taken longer than the lease: it is renewed as soon as storage
/// answers.
async fn renew_again_and_again(
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
            storage.usable().await;
        };
        select(pin!(clock.sleep(lease / 3)), pin!(reopened)).await;
        if !storage.is_open() {
            let renewed = outbox.renew(owner, lease).await;
            note(storage, &renewed, "renewing the lease on owed messages failed");
        }
    }
}

/// Tells the breaker of storage how a call of it ended. What is not storage being away is logged each time.
fn note(storage: &Breaker, result: &Result<(), PortError>, what: &'static str) {
    match result {
        Ok(()) => storage.answered(),
        Err(error) if error.kind() == PortErrorKind::Unavailable => storage.failed(what, error),
        Err(error) => tracing::warn!(error = %ErrorChain(error), "{what}"),
    }
}

#[cfg(test)]
mod tests;
