//! A writer: takes what waits, commits it in one transaction, and answers everyone who waits for it. A record's whole
//! life is [`Writer::run`].

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::watch;

use crate::breaker::{Breaker, patience};
use crate::intake::{Answer, Intake, SubmitError, Taken, Waiting};
use crate::isolate::{Suspects, Try, isolate};
use crate::meter::Meter;
use crate::outbox::Outbox;
use crate::outcome::{Outcome, OutcomeCounts, StoredRecord};
use crate::pipeline::PipelineSettings;
use crate::plan::Arrival;
use crate::ports::{Batch, Clock, Committed, OwedId, PortError, PortErrorKind, RecordRepository};
use crate::rule_book::RuleBook;
use crate::turn::{Place, Turns};

pub(crate) struct Writer {
    pub(crate) intake: Arc<Intake>,
    pub(crate) repository: Arc<dyn RecordRepository>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<RuleBook>,
    /// Where the messages go; `None` leaves them to another instance.
    pub(crate) outbox: Option<Outbox>,
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) breaker: Breaker,
    /// Records that the store has refused.
    pub(crate) suspects: Arc<Suspects>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) settings: PipelineSettings,
}

/// What to do after a commit that failed.
enum Judgement {
    Again,
    GiveUp,
}

/// What became of one record: its outcome, or that it has none.
pub(crate) type Fate = Result<Outcome, SubmitError>;

/// A commit that was not done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GivenUp {
    pub(crate) kind: PortErrorKind,
    /// The last try.
    pub(crate) last: Try,
}

impl Writer {
    /// Works until the intake is closed and empty.
    pub(crate) async fn run(self) {
        while let Some(Taken { waiting, busy }) = self.intake.take(self.settings.batch_records_max).await {
            let (replies, arrivals) = gather(waiting);
            if self.breaker.is_open() {
                // What was waiting when storage was found to be away is refused at once, too.
                self.refuse(replies);
                continue;
            }
            let turns = Turns::of(replies.iter().filter_map(|(_, waiting)| waiting.place.as_ref()));
            let fates = if turns.have_come() { self.commit(&arrivals, &turns).await } else { None };
            if let Some(fates) = fates {
                // The next commit does not wait for the answers to this one.
                drop(busy);
                self.answer(replies, fates);
            } else {
                self.commit_apart(replies, &arrivals, &turns).await;
            }
        }
    }

    /// Commits what could not be committed together, since what comes before some of it is not sure to be done: at once
    /// what has no order; the rest when all before has ended, except where that has no outcome, so that this has none
    /// either.
    async fn commit_apart(&self, replies: Vec<Reply>, arrivals: &[Arrival], turns: &Turns) {
        let (ordered, others) = split(replies, arrivals, |waiting| waiting.place.is_some());
        self.commit_part(others).await;
        turns.before_ended().await;
        let is_forsaken = |waiting: &Waiting| waiting.place.as_ref().is_some_and(Place::is_forsaken);
        let (replies, arrivals) = ordered;
        let (forsaken, rest) = split(replies, &arrivals, is_forsaken);
        self.refuse(forsaken.0);
        self.commit_part(rest).await;
    }

    /// Commits and answers submissions before which nothing is to be done any more.
    async fn commit_part(&self, (replies, arrivals): Part) {
        if replies.is_empty() {
            return;
        }
        let turns = Turns::of(replies.iter().filter_map(|(_, waiting)| waiting.place.as_ref()));
        match self.commit(&arrivals, &turns).await {
            Some(fates) => self.answer(replies, fates),
            None => self.refuse(replies),
        }
    }

    /// Answers that nothing was stored.
    fn refuse(&self, replies: Vec<Reply>) {
        let fates = replies.iter().flat_map(|(records, _)| vec![Err(SubmitError::Unavailable); *records]).collect();
        self.answer(replies, fates);
    }

    /// Commits records, each with its own fate: where the store refuses the batch, the record at fault is sought.
    /// `None`, with nothing committed, if what comes before has to end first.
    async fn commit(&self, arrivals: &Arc<[Arrival]>, turns: &Turns) -> Option<Vec<Fate>> {
        match self.commit_patiently(arrivals, turns).await {
            Ok(committed) => Some(committed.outcomes.into_iter().map(Ok).collect()),
            Err(given_up) => match given_up.kind {
                PortErrorKind::Unavailable => Some(vec![Err(SubmitError::Unavailable); arrivals.len()]),
                PortErrorKind::OutOfTurn => None,
                PortErrorKind::Refused | PortErrorKind::Corrupt | PortErrorKind::Misuse => {
                    // Its pieces have no turns.
                    if turns.are_first() { Some(isolate(self, arrivals).await) } else { None }
                }
            },
        }
    }

    /// Tries until the store does it, refuses it, or patience ends.
    pub(crate) async fn commit_patiently(
        &self,
        arrivals: &Arc<[Arrival]>,
        turns: &Turns,
    ) -> Result<Committed, GivenUp> {
        let mut batch = Batch {
            arrivals: Arc::clone(arrivals),
            rules: Arc::clone(&self.rules),
            now: self.clock.now(),
            owner: self.outbox.as_ref().map(Outbox::owner),
            settled: self.outbox.as_ref().map(Outbox::take_published).unwrap_or_default(),
            turns: turns.clone(),
        };
        let patience = patience(self.breaker.state(), self.settings.commit_patience);
        let began = self.clock.elapsed();
        let deadline = began + patience;
        let mut waits = self.settings.retry.waits(&*self.clock);
        loop {
            let this = self.suspects.begin();
            let error = match self.try_commit(&batch).await {
                Ok(committed) => {
                    if committed.owed.is_some() {
                        self.suspects.stored(this);
                    }
                    self.breaker.succeeded();
                    self.log(arrivals, &committed, began);
                    self.note(&committed, &batch.settled);
                    return Ok(committed);
                }
                Err(error) => error,
            };
            turns.take_back();
            let wait = waits.next().unwrap_or(Duration::MAX);
            let late = self.clock.elapsed().saturating_add(wait) > deadline;
            match self.judge(&error, late) {
                Judgement::Again => self.clock.sleep(wait).await,
                Judgement::GiveUp => {
                    tracing::debug!(error = %Chain(&error), records = arrivals.len(), "a commit was given up");
                    if let Some(outbox) = &self.outbox {
                        outbox.put_published(std::mem::take(&mut batch.settled));
                    }
                    return Err(GivenUp { kind: error.kind(), last: this });
                }
            }
        }
    }

    /// Writes one line for a batch. Of the traces that its records belong to, it names the first.
    fn log(&self, arrivals: &[Arrival], committed: &Committed, began: Duration) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let mut counts = OutcomeCounts::default();
        committed.outcomes.iter().for_each(|outcome| counts.count(outcome));
        let OutcomeCounts { processed, duplicates, conflicts, rejected } = counts;
        let trace_id = arrivals.iter().find_map(Arrival::trace_id);
        let ms = self.clock.elapsed().saturating_sub(began).as_millis();
        tracing::debug!(trace_id, processed, duplicates, conflicts, rejected, ms, "a batch is committed");
    }

    /// Says whether a commit that failed is tried again, and tells the breaker.
    fn judge(&self, error: &PortError, late: bool) -> Judgement {
        const WHAT: &str = "a commit failed";
        if error.kind() == PortErrorKind::OutOfTurn {
            return Judgement::GiveUp;
        }
        self.meter.commit_failed();
        if error.kind() != PortErrorKind::Unavailable {
            tracing::error!(error = %Chain(error), "{WHAT}");
            return Judgement::GiveUp;
        }
        // It may have been done all the same, e.g. where the connection broke before the answer.
        if let Some(outbox) = &self.outbox {
            outbox.doubt();
        }
        if late || self.breaker.is_open() {
            self.breaker.gave_up(WHAT, error);
            return Judgement::GiveUp;
        }
        self.breaker.failed(WHAT, error);
        if self.breaker.is_open() { Judgement::GiveUp } else { Judgement::Again }
    }

    /// Commits a batch. Where that takes long, storage is asked whether it answers at all: to wait for one that is slow
    /// is right, but one that is frozen, or behind a line that swallows everything, says nothing for as long as anybody
    /// waits. What was given up may still be done later: its records are then found to be duplicates.
    async fn try_commit(&self, batch: &Batch) -> Result<Committed, PortError> {
        let mut commit = pin!(self.commit_once(batch));
        loop {
            let silent = async {
                self.clock.sleep(self.settings.silence_max).await;
                self.breaker.ask(self.repository.ping()).await.err()
            };
            match select(commit.as_mut(), pin!(silent)).await {
                Either::Left((done, _)) => return done,
                Either::Right((None, _)) => {}
                Either::Right((Some(error), _)) => {
                    self.breaker.gave_up("a commit got no answer", &error);
                    return Err(error);
                }
            }
        }
    }

    async fn commit_once(&self, batch: &Batch) -> Result<Committed, PortError> {
        if let Some(outbox) = &self.outbox {
            // What an owner without a lease owes would be taken over at once.
            outbox.lease_first(&*self.repository, self.settings.lease).await?;
        }
        let began = self.clock.elapsed();
        let committed = self.repository.commit(batch.clone()).await?;
        self.meter.committed(batch.arrivals.len(), self.clock.elapsed().saturating_sub(began));
        Ok(committed)
    }

    /// Hands what was committed to the relay, and tells those who follow.
    fn note(&self, committed: &Committed, settled: &[OwedId]) {
        if let Some(outbox) = &self.outbox {
            outbox.forget(settled);
        }
        let Some(owed) = committed.owed else { return };
        if let Some(outbox) = &self.outbox {
            let stored: Vec<Arc<StoredRecord>> = committed.outcomes.iter().filter_map(stored_in).cloned().collect();
            outbox.hand_over(owed, stored, self.clock.elapsed());
        }
        self.committed.send_modify(|commits| *commits += 1);
    }

    /// Answers each submission: with all its outcomes, or, if one record has none, with the reason for that.
    fn answer(&self, replies: Vec<Reply>, fates: Vec<Fate>) {
        let (mut fates, now) = (fates.into_iter(), self.clock.elapsed());
        for (records, Waiting { reply, room, meter, since, place, .. }) in replies {
            // All of them are taken first: the answer ends at the first record that has no outcome.
            let own: Vec<Fate> = fates.by_ref().take(records).collect();
            self.meter.answered(&meter, &own, now.saturating_sub(since));
            let answer: Answer = own.into_iter().collect();
            drop(room);
            if let Some(place) = place {
                place.end(answer.is_ok());
            }
            if reply.send(answer).is_err() {
                tracing::debug!(records, "nobody waits any more for the outcome of a submission");
            }
        }
    }
}

/// One submission that waits for its answer: how many records it had.
type Reply = (usize, Waiting);

fn gather(waiting: Vec<Waiting>) -> (Vec<Reply>, Arc<[Arrival]>) {
    let mut arrivals = Vec::with_capacity(waiting.iter().map(|waiting| waiting.arrivals.len()).sum());
    let replies = waiting
        .into_iter()
        .map(|mut waiting| {
            let records = waiting.arrivals.len();
            arrivals.append(&mut waiting.arrivals);
            (records, waiting)
        })
        .collect();
    (replies, arrivals.into())
}

/// Submissions with their records.
type Part = (Vec<Reply>, Arc<[Arrival]>);

/// Splits submissions into those of a kind and the others.
fn split(replies: Vec<Reply>, arrivals: &[Arrival], is_of_kind: impl Fn(&Waiting) -> bool) -> (Part, Part) {
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    let mut from = 0;
    for (records, waiting) in replies {
        let (replies, own) = &mut parts[usize::from(!is_of_kind(&waiting))];
        own.extend_from_slice(&arrivals[from..from + records]);
        from += records;
        replies.push((records, waiting));
    }
    let [of_kind, others] = parts.map(|(replies, own)| (replies, own.into()));
    (of_kind, others)
}

fn stored_in(outcome: &Outcome) -> Option<&Arc<StoredRecord>> {
    match outcome {
        Outcome::Processed(stored) => Some(stored),
        Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => None,
    }
}

/// Shows an error with all its causes in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
