//! A writer: takes submissions from the intake, commits their records in one transaction, and answers every submission.
//! The whole life of a record is [`Writer::run`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tallyhouse_core::ports::{
    Batch, Clock, CommitOrder as _, Committed, OutboxId, PortError, PortErrorKind, RecordRepository,
};
use tallyhouse_core::{Arrival, Outcome, OutcomeCounts, RuleBook, StoredRecord};
use tokio::sync::watch;

use crate::commit::bisect::{Attempt, PoisonTracker, bisect};
use crate::commit::intake::{Intake, PendingBatch, PendingSubmission};
use crate::commit::order::{BatchOrder, OrderSlot};
use crate::dependency::breaker::{Breaker, retry_timeout};
use crate::dependency::error_chain::ErrorChain;
use crate::dependency::retry::millis;
use crate::meter::Meter;
use crate::publish::handoff::Handoff;
use crate::settings::PipelineSettings;
use crate::submit_error::{Answer, RecordResult, SubmitError};

pub(crate) struct Writer {
    pub(crate) intake: Arc<Intake>,
    pub(crate) repository: Arc<dyn RecordRepository>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<RuleBook>,
    /// Passes committed batches to the relay; `None` leaves them to another instance.
    pub(crate) handoff: Option<Handoff>,
    /// Counts the commits that stored something.
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) breaker: Breaker,
    pub(crate) poison: Arc<PoisonTracker>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) settings: PipelineSettings,
}

/// A commit that failed for good.
#[derive(Debug)]
pub(crate) struct CommitFailure {
    pub(crate) error: Arc<PortError>,
    pub(crate) last_attempt: Attempt,
}

impl Writer {
    /// Works until the intake is closed and empty.
    pub(crate) async fn run(self) {
        while let Some(PendingBatch { waiting, in_flight }) = self.intake.take(self.settings.batch_records_max).await {
            let group = Group::of(waiting);
            if self.breaker.is_open() {
                // Submissions that waited when the breaker opened fail at once, too.
                self.reject(group);
                continue;
            }
            match self.commit(&group).await {
                Some(results) => {
                    // The next commit does not wait for the answers to this one.
                    drop(in_flight);
                    self.answer(group, results);
                }
                None => self.commit_apart(group).await,
            }
        }
    }

    /// Commits a group, and returns the result of each record. If the store refuses the batch, the record at fault is
    /// bisected out. Returns `None`, with nothing committed, if a predecessor has to end first.
    async fn commit(&self, group: &Group) -> Option<Vec<RecordResult>> {
        let Group { arrivals, order, .. } = group;
        if !order.may_start() {
            return None;
        }
        match self.commit_with_retry(arrivals, order).await {
            Ok(committed) => Some(committed?.outcomes.into_iter().map(Ok).collect()),
            Err(CommitFailure { error, .. }) => match error.kind() {
                PortErrorKind::Unavailable => Some(vec![Err(SubmitError::Unavailable(Some(error))); arrivals.len()]),
                // The pieces of a bisected batch have no order.
                _ if !order.predecessors_done() => None,
                PortErrorKind::Refused | PortErrorKind::Corrupt | PortErrorKind::Misuse => {
                    let results = bisect(self, arrivals).await;
                    if results.iter().all(Result::is_err) {
                        self.note_refused().await;
                    }
                    Some(results)
                }
            },
        }
    }

    /// Notes that storage has refused a whole group. A store that refuses everything is as good as unavailable. One bad
    /// record that is sent again and again is not the store's fault, and must stop nothing.
    async fn note_refused(&self) {
        if self.breaker.record_refusal()
            && let Err(error) = self.breaker.ping(self.repository.ping_write()).await
        {
            self.breaker.trip("storage takes no records", &error);
        }
    }

    /// Commits a group in which some submissions have to wait for predecessors: first those without an order; the
    /// others once all predecessors have ended, except successors of a failed one, which fail, too.
    async fn commit_apart(&self, group: Group) {
        let order = group.order.clone();
        let (ordered, unordered) = group.split(|waiting| waiting.order_slot.is_some());
        self.commit_part(unordered).await;
        order.predecessors_ended().await;
        let (failed, rest) =
            ordered.split(|waiting| waiting.order_slot.as_ref().is_some_and(OrderSlot::predecessor_failed));
        self.reject(failed);
        self.commit_part(rest).await;
    }

    async fn commit_part(&self, group: Group) {
        if group.replies.is_empty() {
            return;
        }
        match self.commit(&group).await {
            Some(results) => self.answer(group, results),
            None => self.reject(group),
        }
    }

    /// Commits records, and retries until the store commits or refuses them, or the retry timeout is over. Returns
    /// `Ok(None)` if a predecessor has to end first.
    pub(crate) async fn commit_with_retry(
        &self,
        arrivals: &Arc<[Arrival]>,
        order: &BatchOrder,
    ) -> Result<Option<Committed>, CommitFailure> {
        let mut batch = Batch {
            arrivals: Arc::clone(arrivals),
            rules: Arc::clone(&self.rules),
            now: self.clock.now(),
            owner: self.handoff.as_ref().map(Handoff::owner),
            published: self.handoff.as_ref().map(Handoff::take_published).unwrap_or_default(),
        };
        let began = self.clock.elapsed();
        let deadline = began + retry_timeout(self.breaker.state(), self.settings.commit_retry_timeout);
        let mut waits = self.settings.retry.waits(&*self.clock);
        loop {
            let attempt = self.poison.begin();
            let error = match self.attempt(&batch, order).await {
                Ok(Some(committed)) => {
                    self.note_committed(attempt, &batch, &committed, began);
                    return Ok(Some(committed));
                }
                Ok(None) => {
                    order.revoke();
                    self.restore_published(batch.published);
                    return Ok(None);
                }
                Err(error) => error,
            };
            order.revoke();
            let wait = waits.next().unwrap_or(Duration::MAX);
            let is_late = self.clock.elapsed().saturating_add(wait) > deadline;
            if !self.may_retry(&error, is_late) {
                tracing::debug!(error = %ErrorChain(&error), records = arrivals.len(), "a commit is given up");
                self.restore_published(batch.published);
                return Err(CommitFailure { error: Arc::new(error), last_attempt: attempt });
            }
            self.clock.sleep(wait).await;
            // A store that was restored to an earlier state may assign the same position again: the new time
            // distinguishes the two records (see `Fingerprint`).
            batch.now = self.clock.now();
        }
    }

    /// Attempts to commit a batch once. If the commit takes long, the store is pinged: a slow store may take its time, but
    /// a frozen one, or a connection that drops every packet, would never answer. The store may carry out an abandoned
    /// commit later: the retry then finds duplicates.
    async fn attempt(&self, batch: &Batch, order: &BatchOrder) -> Result<Option<Committed>, PortError> {
        let mut commit = pin!(async {
            if let Some(handoff) = &self.handoff {
                // Another instance would claim the entries of an owner without a lease at once.
                handoff.lease_first(self.settings.lease).await?;
            }
            let began = self.clock.elapsed();
            let committed = match self.repository.pipelined() {
                Some(repository) if !order.is_empty() => {
                    repository.commit_in_order(batch.clone(), Arc::new(order.clone())).await?
                }
                Some(_) | None => Some(self.repository.commit(batch.clone()).await?),
            };
            if committed.is_some() {
                self.meter.committed(batch.arrivals.len(), self.clock.elapsed().saturating_sub(began));
            }
            Ok(committed)
        });
        loop {
            let ping = async {
                self.clock.sleep(self.settings.ping_after).await;
                self.breaker.ping(self.repository.ping()).await.err()
            };
            match select(commit.as_mut(), pin!(ping)).await {
                Either::Left((done, _)) => return done,
                Either::Right((None, _)) => {}
                Either::Right((Some(error), _)) => {
                    self.breaker.trip("a commit got no answer", &error);
                    return Err(error);
                }
            }
        }
    }

    /// Returns whether to retry a failed commit, and tells the breaker.
    fn may_retry(&self, error: &PortError, is_late: bool) -> bool {
        const MESSAGE: &str = "a commit failed";
        self.meter.commit_failed();
        if error.kind() != PortErrorKind::Unavailable {
            tracing::error!(error = %ErrorChain(error), "{MESSAGE}");
            return false;
        }
        // The commit may have been carried out, e.g. if the connection broke before the answer.
        if let Some(handoff) = &self.handoff {
            handoff.note_commit_unknown();
        }
        if is_late || self.breaker.is_open() {
            self.breaker.trip(MESSAGE, error);
            return false;
        }
        self.breaker.record_failure(MESSAGE, error);
        !self.breaker.is_open()
    }

    /// Leaves these published entries for another commit to remove.
    fn restore_published(&self, published: Vec<OutboxId>) {
        if let Some(handoff) = &self.handoff {
            handoff.restore_published(published);
        }
    }

    /// Hands a committed batch to the relay, and wakes the followers.
    fn note_committed(&self, attempt: Attempt, batch: &Batch, committed: &Committed, began: Duration) {
        self.breaker.record_success();
        self.log(&batch.arrivals, committed, began);
        if let Some(handoff) = &self.handoff {
            handoff.forget(&batch.published);
        }
        let Some(entry) = committed.entry else { return };
        self.poison.stored(attempt);
        if let Some(handoff) = &self.handoff {
            let stored: Vec<Arc<StoredRecord>> = committed.outcomes.iter().filter_map(stored_in).cloned().collect();
            handoff.hand_over(entry, stored, self.clock.elapsed());
        }
        self.committed.send_modify(|commits| *commits += 1);
    }

    /// Writes one line for a batch, with the first of its traces.
    fn log(&self, arrivals: &[Arrival], committed: &Committed, began: Duration) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let mut counts = OutcomeCounts::default();
        committed.outcomes.iter().for_each(|outcome| counts.count(outcome));
        let OutcomeCounts { processed, duplicates, conflicts, rejected } = counts;
        let trace_id = arrivals.iter().find_map(Arrival::trace_id);
        let ms = millis(self.clock.elapsed().saturating_sub(began));
        tracing::debug!(trace_id, processed, duplicates, conflicts, rejected, ms, "a batch is committed");
    }

    /// Fails a group of which nothing was stored.
    fn reject(&self, group: Group) {
        let results = vec![Err(self.intake.failure()); group.arrivals.len()];
        self.answer(group, results);
    }

    /// Answers each submission: with all its outcomes, or, if one record has none, with the reason for that.
    fn answer(&self, group: Group, results: Vec<RecordResult>) {
        let (mut results, now) = (results.into_iter(), self.clock.elapsed());
        for (records, PendingSubmission { reply, permits, meter, since, order_slot, .. }) in group.replies {
            // All results are taken first: collecting stops at the first record without an outcome.
            let own: Vec<RecordResult> = results.by_ref().take(records).collect();
            self.meter.answered(&meter, &own, now.saturating_sub(since));
            let answer: Answer = own.into_iter().collect();
            drop(permits);
            if let Some(order_slot) = order_slot {
                order_slot.end(answer.is_ok());
            }
            if reply.send(answer).is_err() {
                tracing::debug!(records, "the sender of a submission no longer awaits its outcomes");
            }
        }
    }
}

/// Submissions that are committed together.
struct Group {
    /// Each submission, without its records, and their number.
    replies: Vec<(usize, PendingSubmission)>,
    /// The records of all submissions.
    arrivals: Arc<[Arrival]>,
    order: BatchOrder,
}

impl Group {
    fn of(mut waiting: Vec<PendingSubmission>) -> Self {
        let mut arrivals = Vec::with_capacity(waiting.iter().map(|waiting| waiting.arrivals.len()).sum());
        let mut lengths = Vec::with_capacity(waiting.len());
        for submission in &mut waiting {
            lengths.push(submission.arrivals.len());
            arrivals.append(&mut submission.arrivals);
        }
        Self::new(lengths.into_iter().zip(waiting).collect(), arrivals)
    }

    fn new(replies: Vec<(usize, PendingSubmission)>, arrivals: Vec<Arrival>) -> Self {
        let order = BatchOrder::of(replies.iter().filter_map(|(_, waiting)| waiting.order_slot.as_ref()));
        Self { replies, arrivals: arrivals.into(), order }
    }

    /// Splits the group into the submissions that match, and the others.
    fn split(self, matches: impl Fn(&PendingSubmission) -> bool) -> (Self, Self) {
        let (mut matching, mut others) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let mut from = 0;
        for (records, waiting) in self.replies {
            let (replies, own) = if matches(&waiting) { &mut matching } else { &mut others };
            own.extend_from_slice(&self.arrivals[from..from + records]);
            from += records;
            replies.push((records, waiting));
        }
        (Self::new(matching.0, matching.1), Self::new(others.0, others.1))
    }
}

fn stored_in(outcome: &Outcome) -> Option<&Arc<StoredRecord>> {
    match outcome {
        Outcome::Processed(stored) => Some(stored),
        Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => None,
    }
}

#[cfg(test)]
mod tests;
