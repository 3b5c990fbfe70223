//! Commits without a lock: planned from what the store is expected to have, and written only if it is so.
//!
//! What a process has written itself it need not ask for, and ids that nobody has sent before need not be looked up:
//! the statement that writes finds out, and then writes nothing (`write_optimistic` in the migrations). So a commit is
//! one round trip. One that comes while another is under way is planned upon that one: it inserts its records beside
//! it, which is the larger part of the work, and waits for its end before it comes to the keys.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::result::Error as DieselError;
use tallyhouse_core::ports::{Batch, CommitOrder, Committed};
use tallyhouse_core::{Key, Known, Outcome, Plan, RecordId, RuleSet, plan};
use tallyhouse_pipeline::adapter::{SpeculationGate, SummaryCache};

use crate::sql::error::Fault;
use crate::write::commit::{Read, Texts, read};
use crate::write::plan::{Expected, Written, write, write_pipelined, write_records};
use crate::write::rules;

/// Longest wait for a commit before: as long as Postgres waits before it looks for a deadlock. Its detector does not
/// see this wait, so that a ring of waits through another process ends here.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What the commits of this process know of each other and of the store. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Optimistic(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when a commit ends.
    ended: Condvar,
    /// How many batches were committed in each way.
    counts: [AtomicU64; WAYS.len()],
}

/// The ways of committing a batch, as metrics name them.
const WAYS: [&str; 4] = ["optimistic", "pipelined", "locked", "mispredicted"];

/// A way of committing a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In one statement, or without any.
    Optimistic,
    /// Upon another one that was under way.
    Pipelined,
    /// With a lock first.
    Locked,
    /// In vain, since the store was not as expected: it is done with a lock, then.
    Mispredicted,
}

#[derive(Default)]
struct State {
    /// As they are when all that is planned has been written.
    summaries: SummaryCache,
    /// That nobody else changes the keys that we change.
    alone: SpeculationGate,
    /// That records come for the first time.
    unseen: SpeculationGate,
    /// The ids that commits under way are about to insert.
    ids: HashSet<RecordId>,
    /// The commits that are under way, in the order in which they were planned.
    under_way: Vec<Ticket>,
    /// The number of the last ticket there was.
    last: u64,
    /// Commits under way that lock first.
    locking: usize,
    /// How often what is remembered was forgotten.
    forgotten: u64,
}

/// A commit that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticket {
    number: u64,
    /// [`State::forgotten`], when it was planned.
    forgotten: u64,
    began: Instant,
}

impl Ticket {
    /// Says whether it has been under way for so long that nobody waits for it any more: its connection may be dead.
    /// Whether or not it is done some time, the store is asked to make sure.
    fn is_stuck(self) -> bool {
        self.began.elapsed() > WAIT_MAX
    }
}

/// A commit that was planned and is under way.
struct Planned<'a> {
    optimistic: &'a Optimistic,
    plan: Plan,
    expected: Expected,
    ticket: Ticket,
    /// The commit that it was planned upon.
    follows: Option<Ticket>,
    order: Arc<dyn CommitOrder>,
    is_committed: bool,
}

/// What a batch comes to before anything is written.
enum Ready<'a> {
    /// There is nothing to write.
    Nothing(Vec<Outcome>),
    Planned(Box<Planned<'a>>),
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic").finish_non_exhaustive()
    }
}

impl Optimistic {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while planning leaves what is only expected.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a batch, if that can be done without a lock; `None` if it can't, with nothing done.
    ///
    /// # Errors
    /// Nothing is committed, except with [`Fault::CommitUnknown`], which says that nobody knows.
    pub(crate) fn commit(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
        order: &Arc<dyn CommitOrder>,
        keys: &[Key],
    ) -> Result<Option<Committed>, Fault> {
        let Some((missing, unseen)) = self.to_ask(batch, keys) else { return Ok(None) };
        let (mut known, mut rules) = (Known::default(), batch.rules.latest());
        if !missing.is_empty() || !unseen {
            let arrivals = (!unseen).then_some(&*batch.arrivals);
            let found = read(connection, Read::Unlocked, &missing, arrivals)?;
            let version = found.rules_version;
            rules = (version, batch.rules.in_force(version, || rules::managed(connection))?);
            known = found.known;
            if !unseen {
                self.state().unseen.learn(known.records.is_empty());
            }
        }
        match self.plan(batch, order, (keys, &missing), known, rules) {
            None => Ok(None),
            Some(Ready::Nothing(outcomes)) => {
                self.count(Way::Optimistic);
                Ok(Some(Committed { outcomes, entry: None }))
            }
            Some(Ready::Planned(planned)) => {
                let way = if planned.follows.is_some() { Way::Pipelined } else { Way::Optimistic };
                let written = planned.write(connection, batch);
                let committed = planned.end(written)?;
                self.count(if committed.is_some() { way } else { Way::Mispredicted });
                Ok(committed)
            }
        }
    }

    /// Returns the keys whose summaries are not remembered, and whether ids need not be looked up; `None` if the batch
    /// is to lock first.
    fn to_ask(&self, batch: &Batch, keys: &[Key]) -> Option<(Vec<Key>, bool)> {
        // Those that lock first are let through, or else one would always be under way, and all others would lock, too.
        let ended = self.wait_while(|state| state.alone.is_open() && state.locking > 0);
        let mut state = self.state();
        if !ended {
            // One of them is stuck: the next ones don't wait for it.
            state.alone.learn(false);
        }
        if !state.may_go(batch) {
            return None;
        }
        Some((keys.iter().filter(|key| state.summaries.get(key).is_none()).cloned().collect(), state.unseen.is_open()))
    }

    /// Plans a batch upon all that is planned already. Of its keys, `read` are those that `known` has been asked for.
    /// `None` if it can't go ahead, or not now.
    fn plan(
        &self,
        batch: &Batch,
        order: &Arc<dyn CommitOrder>,
        (keys, read): (&[Key], &[Key]),
        mut known: Known,
        (rules_version, rules): (u64, Arc<RuleSet>),
    ) -> Option<Ready<'_>> {
        let mut state = self.state();
        if !state.may_go(batch) || !state.is_in_order(&**order) {
            return None;
        }
        for key in keys {
            // What is planned is newer than what was read.
            if let Some(summary) = state.summaries.get(key) {
                known.summaries.insert(key.clone(), summary.clone());
            } else if read.binary_search(key).is_err() {
                // Forgotten meanwhile.
                return None;
            }
        }
        let texts = Texts::of(keys, &known);
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            // Nothing would find out that it is rejected for what was only expected.
            return None;
        }
        if plan.stored.is_empty() && batch.published.is_empty() {
            return Some(Ready::Nothing(plan.outcomes));
        }
        state.summaries.note(&plan.summaries);
        state.ids.extend(plan.stored.iter().map(|stored| stored.processed.record.record_id.clone()));
        state.last += 1;
        let ticket = Ticket { number: state.last, forgotten: state.forgotten, began: Instant::now() };
        let follows = state.under_way.last().copied().filter(|before| !before.is_stuck());
        state.under_way.push(ticket);
        let expected =
            Expected { summaries: texts.of_changed(&plan), rules_version: Some(rules_version), ..Expected::default() };
        // What is planned from now on is planned upon this.
        order.start();
        let order = Arc::clone(order);
        let planned = Planned { optimistic: self, plan, expected, ticket, follows, order, is_committed: false };
        Some(Ready::Planned(Box::new(planned)))
    }

    /// Waits while commits are under way, as far as the condition says, but not for ever. Says whether it was for long
    /// enough.
    fn wait_while(&self, mut condition: impl FnMut(&State) -> bool) -> bool {
        let ended = self.0.ended.wait_timeout_while(self.state(), WAIT_MAX, |state| condition(state));
        !ended.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Keeps others from going ahead, until what is returned is dropped, and waits for those that do: they come to
    /// their ids and keys in another order than who locks first.
    pub(crate) fn locking(&self) -> Locking<'_> {
        self.state().locking += 1;
        let locking = Locking(self);
        // If it takes too long, Postgres sees to it.
        let _ended = self.wait_while(|state| state.under_way.iter().any(|ticket| !ticket.is_stuck()));
        locking
    }

    /// Learns from a commit that locks first what it has found.
    pub(crate) fn learn(&self, keys: &[Key], known: &Known) {
        let mut state = self.state();
        let as_expected =
            |key: &Key| state.summaries.get(key).is_none_or(|expected| known.summaries.get(key) == Some(expected));
        let alone = keys.iter().all(as_expected);
        state.alone.learn(alone);
        state.unseen.learn(known.records.is_empty());
    }

    /// Learns what a commit that locks first is about to write.
    pub(crate) fn note(&self, plan: &Plan) {
        self.state().summaries.note(&plan.summaries);
    }

    /// Counts a commit that locked first.
    pub(crate) fn count_locked(&self) {
        self.count(Way::Locked);
    }

    /// Forgets what was expected of the keys of a commit that locked first and was not done.
    pub(crate) fn forget(&self, keys: &[Key]) {
        self.state().summaries.forget_keys(keys);
    }

    /// Returns how many batches were committed in each way, by its name.
    pub(crate) fn counts(&self) -> [(&'static str, u64); WAYS.len()] {
        std::array::from_fn(|way| (WAYS[way], self.0.counts[way].load(Ordering::Relaxed)))
    }

    fn count(&self, way: Way) {
        self.0.counts[way as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl State {
    /// Says whether a batch may go ahead: not beside commits whose plans are not known yet or will not be done, and not
    /// where it would wait for an id of one that waits for it.
    fn may_go(&self, batch: &Batch) -> bool {
        let id_is_free = |id: &RecordId| !self.ids.contains(id);
        self.alone.is_open()
            && self.locking == 0
            && self.under_way.iter().all(|ticket| ticket.forgotten == self.forgotten || ticket.is_stuck())
            && (self.ids.is_empty() || batch.arrivals.iter().all(|arrival| id_is_free(&arrival.record.record_id)))
    }

    /// Says whether what comes before a batch is sure to be done before it: not where something is stuck, upon which
    /// nothing is planned any more.
    fn is_in_order(&self, order: &dyn CommitOrder) -> bool {
        order.predecessors_done() || (order.may_start() && !self.under_way.iter().copied().any(Ticket::is_stuck))
    }

    /// Forgets what a commit that was not done would have written, and everything if others were planned upon it.
    fn forget(&mut self, ticket: Ticket, plan: &Plan) {
        if self.under_way.iter().any(|other| *other != ticket) {
            self.summaries.forget();
            self.forgotten += 1;
        } else {
            self.summaries.forget_keys(plan.summaries.iter().map(|(key, _)| key));
        }
    }
}

impl Planned<'_> {
    fn write(&self, connection: &mut PgConnection, batch: &Batch) -> Result<Written, Fault> {
        match self.follows {
            // The statement is the commit.
            None => write(connection, batch, &self.plan, &self.expected).map_err(|fault| commit_unknown(fault, true)),
            Some(before) => self.write_after(connection, batch, before),
        }
    }

    /// Writes the records beside the commit before, and the rest after it.
    fn write_after(&self, connection: &mut PgConnection, batch: &Batch, before: Ticket) -> Result<Written, Fault> {
        let mut written = false;
        let result = connection.build_transaction().read_committed().run(|connection| {
            let slot = match self.plan.stored.is_empty() {
                true => 0,
                false => write_records(connection, batch, &self.plan)?,
            };
            let ended = self.optimistic.wait_while(|state| state.under_way.contains(&before));
            if !ended {
                return Err(Undone(Ok(Written::Overdue)));
            }
            if self.optimistic.state().forgotten != self.ticket.forgotten {
                return Err(Undone(Ok(Written::SummaryDiffers)));
            }
            match write_pipelined(connection, batch, &self.plan, &self.expected, slot)? {
                Written::All(entry) => {
                    written = true;
                    Ok(Written::All(entry))
                }
                otherwise => Err(Undone(Ok(otherwise))),
            }
        });
        match result {
            Ok(written) => Ok(written),
            Err(Undone(Err(Fault::Raced))) => Ok(Written::IdTaken),
            Err(Undone(undone)) => undone.map_err(|fault| commit_unknown(fault, written)),
        }
    }

    /// Says what came of it, and lets the others know.
    fn end(mut self, written: Result<Written, Fault>) -> Result<Option<Committed>, Fault> {
        if let Ok(Written::All(entry)) = written {
            self.is_committed = true;
            return Ok(Some(Committed { outcomes: std::mem::take(&mut self.plan.outcomes), entry }));
        }
        {
            let mut state = self.optimistic.state();
            // Where what it was planned upon was not done, it had to fail, and says nothing.
            if state.forgotten == self.ticket.forgotten {
                match &written {
                    Ok(Written::IdTaken) => state.unseen.learn(false),
                    Ok(Written::SummaryDiffers) => state.alone.learn(false),
                    Ok(Written::All(_) | Written::RulesDiffer | Written::Overdue) | Err(_) => {}
                }
            }
            state.forget(self.ticket, &self.plan);
            self.order.revoke();
        }
        match written {
            Err(fault) if !fault.is_passing() => Err(fault),
            _ => Ok(None),
        }
    }
}

/// Why a transaction is rolled back.
struct Undone(Result<Written, Fault>);

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Self(Err(fault))
    }
}

impl From<DieselError> for Undone {
    fn from(error: DieselError) -> Self {
        Self(Err(error.into()))
    }
}

/// Says of a connection that was cut while a commit was under way that nobody knows what became of it.
fn commit_unknown(fault: Fault, committing: bool) -> Fault {
    if committing && fault.is_cut() { Fault::CommitUnknown(Box::new(fault)) } else { fault }
}

impl Drop for Planned<'_> {
    fn drop(&mut self) {
        let mut state = self.optimistic.state();
        for stored in &self.plan.stored {
            state.ids.remove(&stored.processed.record.record_id);
        }
        state.under_way.retain(|ticket| *ticket != self.ticket);
        if !self.is_committed {
            self.order.revoke();
        }
        self.optimistic.0.ended.notify_all();
    }
}

/// A commit that locks first.
pub(crate) struct Locking<'a>(&'a Optimistic);

impl Drop for Locking<'_> {
    fn drop(&mut self) {
        self.0.state().locking -= 1;
        self.0.0.ended.notify_all();
    }
}
