//! The hand-off from the writers to the relay: committed batches in memory, and the state of the outbox that both share.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallyhouse_core::StoredRecord;
use tallyhouse_core::ports::{Outbox, OutboxEntry, OutboxId, Owner, PortError};
use tokio::sync::mpsc;

use crate::meter::Meter;
use crate::publish::publisher::Publisher;

/// The number of polls in which the outbox is searched for entries of a commit without an answer. A frozen server
/// carries out pending commits when it resumes; four polls are one lease, so this is six leases.
const POLLS_AFTER_UNKNOWN_COMMIT: u32 = 24;

/// A committed batch in memory whose messages are to be published.
#[derive(Debug)]
pub(crate) struct CommittedBatch {
    pub(crate) entry: OutboxEntry,
    pub(crate) stored: Vec<Arc<StoredRecord>>,
    /// When it was committed, by the clock.
    pub(crate) since: Duration,
    /// Counts its bytes, until they are published.
    pub(crate) reservation: Reservation,
}

/// Bytes of committed batches in memory; dropping this releases them.
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Reservation {
    /// Reserves the bytes of a batch, unless they are too many beside those of others.
    pub(crate) fn try_reserve(
        total: &Arc<AtomicUsize>,
        stored: &[Arc<StoredRecord>],
        bytes_max: usize,
    ) -> Option<Self> {
        let bytes = stored.iter().map(|stored| stored.weight()).sum();
        let before = total.fetch_add(bytes, Ordering::AcqRel);
        let reservation = Self { bytes, total: Arc::clone(total) };
        (before == 0 || before.saturating_add(bytes) <= bytes_max).then_some(reservation)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A writer's side of the relay.
#[derive(Clone)]
pub(crate) struct Handoff {
    outbox: Arc<dyn Outbox>,
    pub(crate) state: Arc<HandoffState>,
    fresh: mpsc::Sender<CommittedBatch>,
    /// The bytes of the batches in memory, and the most there may be.
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The state that writers and relay share.
#[derive(Debug)]
pub(crate) struct HandoffState {
    pub(crate) owner: Owner,
    /// Where publishing is counted.
    pub(crate) meter: Arc<Meter>,
    /// Set while the relay reads batches from the store instead of memory: when it can't keep up, after a commit or a claim
    /// with an unknown result, and at the close. The lock is held while a batch is handed over:
    /// no batch can slip between a change of the flag and the hand-over.
    spilled: Mutex<bool>,
    leased: AtomicBool,
    /// The polls of the outbox that are left after a commit with an unknown result.
    unknown_polls: AtomicU32,
    published: Mutex<Published>,
}

/// Entries that have been published, until they are removed from the outbox.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) to_mark: Vec<OutboxId>,
    /// Those in `to_mark`, and those that a commit in flight is removing.
    pub(crate) unmarked: HashSet<OutboxId>,
}

impl HandoffState {
    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spilled(&self) -> MutexGuard<'_, bool> {
        self.spilled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_spilled(&self) -> bool {
        *self.spilled()
    }

    /// Notes that a commit failed with an unknown result: the store may have an entry that was not handed over.
    pub(crate) fn note_commit_unknown(&self) {
        self.unknown_polls.store(POLLS_AFTER_UNKNOWN_COMMIT, Ordering::Release);
    }

    /// Returns whether the outbox may have an entry that was not handed over, and counts one poll down.
    pub(crate) fn take_commit_unknown(&self) -> bool {
        let fewer = |unknown_polls: u32| unknown_polls.checked_sub(1);
        self.unknown_polls.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }

    pub(crate) fn set_spilled(&self, spilled: bool) {
        *self.spilled() = spilled;
    }
}

impl Handoff {
    pub(crate) fn new(
        publisher: &Publisher,
        meter: &Arc<Meter>,
        fresh: mpsc::Sender<CommittedBatch>,
        bytes_max: usize,
    ) -> Self {
        let published = Mutex::default();
        let (leased, unknown_polls) = (AtomicBool::new(false), AtomicU32::new(0));
        let meter = Arc::clone(meter);
        let owner = publisher.owner.clone().with_emitter(publisher.emitter.name().as_deref());
        let state = HandoffState { owner, meter, spilled: Mutex::new(false), leased, unknown_polls, published };
        Self { state: Arc::new(state), outbox: Arc::clone(&publisher.outbox), fresh, bytes: Arc::default(), bytes_max }
    }

    pub(crate) fn owner(&self) -> Owner {
        self.state.owner.clone()
    }

    /// Takes the lease before the first commit.
    pub(crate) async fn lease_first(&self, lease: Duration) -> Result<(), PortError> {
        if !self.state.leased.load(Ordering::Acquire) {
            self.outbox.renew(&self.state.owner, lease).await?;
            self.state.leased.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Takes the published entries that the next commit removes.
    pub(crate) fn take_published(&self) -> Vec<OutboxId> {
        std::mem::take(&mut self.state.published().to_mark)
    }

    /// Puts back entries whose removal failed.
    pub(crate) fn restore_published(&self, mut ids: Vec<OutboxId>) {
        self.state.published().to_mark.append(&mut ids);
    }

    /// Forgets entries that have been removed.
    pub(crate) fn forget(&self, marked: &[OutboxId]) {
        let mut published = self.state.published();
        marked.iter().for_each(|id| {
            published.unmarked.remove(id);
        });
    }

    /// Notes that a commit failed with an unknown result: its messages may be in the outbox, and only there.
    pub(crate) fn note_commit_unknown(&self) {
        self.state.note_commit_unknown();
    }

    /// Hands a batch that was committed at `since` to the relay. If the hand-off has spilled, or spills now, the relay
    /// finds the batch in the outbox.
    pub(crate) fn hand_over(&self, entry: OutboxEntry, stored: Vec<Arc<StoredRecord>>, since: Duration) {
        let mut spilled = self.state.spilled();
        if *spilled {
            return;
        }
        let reservation = Reservation::try_reserve(&self.bytes, &stored, self.bytes_max);
        let sent =
            reservation.map(|reservation| self.fresh.try_send(CommittedBatch { entry, stored, since, reservation }));
        *spilled = !matches!(sent, Some(Ok(())));
    }
}
