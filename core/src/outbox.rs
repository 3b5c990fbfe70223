//! The way from the writers to the relay: committed batches in memory, and what both sides know of the outbox in the
//! store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::meter::Meter;
use crate::outcome::StoredRecord;
use crate::ports::{OwedBatch, OwedId, Owner, PortError, RecordRepository};

/// For how many looks after a commit without an answer the outbox is searched for what it may have left there. A server
/// that was frozen does what it had been sent when it goes on; four looks are a lease.
const LOOKS_IN_DOUBT: u32 = 24;

/// A committed batch in memory, whose messages are owed.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) owed: OwedBatch,
    pub(crate) stored: Vec<Arc<StoredRecord>>,
    /// When it was committed, by the clock.
    pub(crate) since: Duration,
}

/// A writer's side of the relay.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) state: Arc<OutboxState>,
    fresh: mpsc::Sender<Fresh>,
}

/// What writers and relay share.
#[derive(Debug)]
pub(crate) struct OutboxState {
    pub(crate) owner: Owner,
    /// Where publishing is counted.
    pub(crate) meter: Arc<Meter>,
    /// Set while batches go by way of the store only. Held while a batch is handed over, so that none is in between.
    behind: Mutex<bool>,
    leased: AtomicBool,
    /// How many more looks are in doubt.
    doubts: AtomicU32,
    published: Mutex<Published>,
}

/// Batches that have been published, until the store has forgotten them.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) to_settle: Vec<OwedId>,
    /// Those to settle, and those that a commit under way is settling.
    pub(crate) unsettled: HashSet<OwedId>,
}

impl OutboxState {
    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behind(&self) -> MutexGuard<'_, bool> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_behind(&self) -> bool {
        *self.behind()
    }

    /// Notes that the store may hold batches of ours that nobody was told of.
    pub(crate) fn doubt(&self) {
        self.doubts.store(LOOKS_IN_DOUBT, Ordering::Release);
    }

    /// Says whether the store may hold batches of ours that nobody was told of: for some looks after a commit in doubt.
    pub(crate) fn take_doubt(&self) -> bool {
        let fewer = |doubts: u32| doubts.checked_sub(1);
        self.doubts.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }

    pub(crate) fn set_behind(&self, behind: bool) {
        *self.behind() = behind;
    }
}

impl Outbox {
    pub(crate) fn new(owner: Owner, meter: &Arc<Meter>, fresh: mpsc::Sender<Fresh>) -> Self {
        let published = Mutex::default();
        let (leased, doubts) = (AtomicBool::new(false), AtomicU32::new(0));
        let meter = Arc::clone(meter);
        let state = OutboxState { owner, meter, behind: Mutex::new(false), leased, doubts, published };
        Self { state: Arc::new(state), fresh }
    }

    pub(crate) fn owner(&self) -> Owner {
        self.state.owner.clone()
    }

    /// Takes the first lease, once.
    pub(crate) async fn lease_first(
        &self,
        repository: &dyn RecordRepository,
        lease: Duration,
    ) -> Result<(), PortError> {
        if !self.state.leased.load(Ordering::Acquire) {
            repository.renew(&self.state.owner, lease).await?;
            self.state.leased.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Takes the published batches that the next commit is to settle.
    pub(crate) fn take_published(&self) -> Vec<OwedId> {
        std::mem::take(&mut self.state.published().to_settle)
    }

    /// Gives back what could not be settled.
    pub(crate) fn put_published(&self, mut ids: Vec<OwedId>) {
        self.state.published().to_settle.append(&mut ids);
    }

    /// Forgets what has been settled.
    pub(crate) fn forget(&self, settled: &[OwedId]) {
        let mut published = self.state.published();
        settled.iter().for_each(|id| {
            published.unsettled.remove(id);
        });
    }

    /// Notes that a commit may have been done, though nobody was told so: then its messages are owed, and only the
    /// store knows of them.
    pub(crate) fn doubt(&self) {
        self.state.doubt();
    }

    /// Hands a batch that was committed at `since` to the relay, unless that is behind: then it will find the batch in
    /// the store.
    pub(crate) fn hand_over(&self, owed: OwedBatch, stored: Vec<Arc<StoredRecord>>, since: Duration) {
        let mut behind = self.state.behind();
        if !*behind && self.fresh.try_send(Fresh { owed, stored, since }).is_err() {
            *behind = true;
        }
    }
}
