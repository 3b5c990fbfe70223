//! Simulates restores from a backup, failovers to a standby and clock jumps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::doubles::generate::Generator;
use crate::memory::repository::{MemoryRepository, MemorySnapshot};
use crate::simulation::cluster::Cluster;
use crate::simulation::executor::VirtualClock;
use crate::simulation::world::{World, unavailable};
use futures::FutureExt as _;
use tallyhouse_core::StoredRecord;
use tallyhouse_core::ports::{Clock as _, HistoryQuery, Outbox as _, Owner, PortError, RecordReader as _};

/// The most copies that are kept.
const COPIES_MAX: usize = 4;
/// A clock that jumps is ahead or behind by this: far more than a lease.
const JUMP_MICROS: i64 = 5 * 3_600 * 1_000_000;

/// The earlier states that the store is rolled back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RollbackTarget {
    None,
    /// A backup, or an asynchronous standby that lacks the latest commits. Lost records may have been
    /// acknowledged, or may be afterwards.
    Backup,
    /// A synchronous standby: nothing that was acknowledged may be lost.
    SynchronousStandby,
}

/// The history of the store, with the copies that it can go back to.
#[derive(Debug)]
pub(super) struct History {
    rollback_target: RollbackTarget,
    clocks_jump: bool,
    /// Whether the store returns to the state that it left, and so changes between two histories.
    returns: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of rollbacks.
    rollbacks: u64,
    copies: Vec<MemorySnapshot>,
    /// The state that the store has left.
    left: Option<MemorySnapshot>,
    /// The state of the synchronous standby.
    standby: Option<MemorySnapshot>,
    /// Until when nothing reaches the standby.
    cut_until: Duration,
    /// Whether the store goes back no more.
    is_settled: bool,
}

impl History {
    /// The store never goes back, and clocks go on steadily.
    pub(super) fn single() -> Self {
        Self { rollback_target: RollbackTarget::None, clocks_jump: false, returns: false, state: Mutex::default() }
    }

    /// The store goes back, and returns from there.
    pub(super) fn returning() -> Self {
        Self { rollback_target: RollbackTarget::Backup, clocks_jump: false, returns: true, state: Mutex::default() }
    }

    pub(super) fn draw(rng: &mut Generator, store: &MemoryRepository) -> Self {
        let all =
            [RollbackTarget::Backup, RollbackTarget::Backup, RollbackTarget::SynchronousStandby, RollbackTarget::None];
        let rollback_target = *rng.pick(&all);
        let clocks_jump = rollback_target == RollbackTarget::None || rng.once_in(2);
        let state = State { standby: Some(store.snapshot()), ..State::default() };
        Self { rollback_target, clocks_jump, returns: false, state: Mutex::new(state) }
    }

    pub(super) fn rollbacks(&self) -> u64 {
        self.state.lock().unwrap().rollbacks
    }

    /// Ends all changes.
    pub(super) fn settle(&self) {
        let mut state = self.state.lock().unwrap();
        (state.cut_until, state.is_settled) = (Duration::ZERO, true);
    }

    fn standby_cut(&self, now: Duration) -> Option<Duration> {
        let until = self.state.lock().unwrap().cut_until;
        (now < until).then(|| until - now)
    }
}

impl World {
    /// Runs between a commit and its answer. The store may go back; a synchronous standby must have everything that the
    /// store has.
    pub(super) async fn before_answer(&self) -> Result<(), PortError> {
        match self.history.rollback_target {
            RollbackTarget::None => Ok(()),
            RollbackTarget::Backup => {
                if self.chance(20) {
                    self.roll_back();
                }
                Ok(())
            }
            RollbackTarget::SynchronousStandby => self.await_standby().await,
        }
    }

    async fn await_standby(&self) -> Result<(), PortError> {
        let rollbacks = self.history.rollbacks();
        self.clock().sleep(self.below(Duration::from_millis(5))).await;
        while let Some(rest) = self.history.standby_cut(self.now()) {
            self.clock().sleep(rest).await;
        }
        let mut state = self.history.state.lock().unwrap();
        if state.rollbacks != rollbacks {
            return Err(unavailable("waiting for the standby"));
        }
        state.standby = Some(self.store.snapshot());
        Ok(())
    }

    fn copy_store(&self) {
        let mut state = self.history.state.lock().unwrap();
        if state.copies.len() == COPIES_MAX {
            state.copies.remove(0);
        }
        state.copies.push(self.store.snapshot());
    }

    fn cut_standby(&self) {
        let until = self.now() + self.below(Duration::from_secs(4));
        self.note(|| format!("the standby is cut until {until:?}"));
        self.history.state.lock().unwrap().cut_until = until;
    }

    /// Takes the store back to a copy, or to the state of the standby.
    fn roll_back(&self) {
        let earlier = {
            let mut state = self.history.state.lock().unwrap();
            let earlier = match self.history.rollback_target {
                _ if state.is_settled => None,
                RollbackTarget::None => None,
                RollbackTarget::Backup if state.copies.is_empty() => None,
                RollbackTarget::Backup => {
                    let place = self.draw(|rng| rng.below(state.copies.len() as u64));
                    // Later copies belong to a history that ends here.
                    state.copies.truncate(1 + usize::try_from(place).unwrap());
                    state.copies.last().cloned()
                }
                RollbackTarget::SynchronousStandby => state.standby.clone(),
            };
            state.rollbacks += u64::from(earlier.is_some());
            state.left = earlier.as_ref().map(|_| self.store.snapshot());
            earlier
        };
        if let Some(earlier) = earlier {
            self.restore(earlier);
        }
    }

    /// Does what comes between a call of the outbox or of the history and the next one: the store may return to the state
    /// that it left, so that two histories go on in turn.
    pub(super) fn between_calls(&self) {
        if !self.history.returns || !self.chance(100) {
            return;
        }
        let left = {
            let mut state = self.history.state.lock().unwrap();
            let left = if state.is_settled { None } else { state.left.take() };
            state.left = left.as_ref().map(|_| self.store.snapshot());
            state.rollbacks += u64::from(left.is_some());
            left
        };
        if let Some(left) = left {
            self.note(|| "the store returns to the state that it left".to_owned());
            self.restore(left);
        }
    }

    fn restore(&self, state: MemorySnapshot) {
        let before = self.all_stored();
        self.store.restore(state);
        let after = self.all_stored();
        // Both have the positions 1, 2, 3 ….
        let lost: Vec<_> = (before.into_iter().enumerate())
            .filter_map(|(place, found)| (after.get(place) != Some(&found)).then_some(found))
            .collect();
        let may_be_acknowledged = self.history.rollback_target == RollbackTarget::Backup;
        let void = self.ledger.lock().unwrap().record_rollback(&lost, self.now(), may_be_acknowledged);
        self.note(|| {
            let (kept, lost) = (after.len(), lost.len());
            format!("the store goes back to {kept} records, and loses {lost} with {void} acknowledgements")
        });
    }

    /// Returns everything that is stored, in order.
    pub(super) fn all_stored(&self) -> Vec<(u64, Arc<StoredRecord>)> {
        let all = HistoryQuery { after: 0, alerting_only: false, limit: usize::MAX };
        self.store.history(all).now_or_never().unwrap().unwrap()
    }

    /// Sets a clock hours ahead or back, or right again.
    fn jump(&self, clock: &VirtualClock, whose: &str) {
        let ahead = self.draw(|rng| *rng.pick(&[-JUMP_MICROS, 0, JUMP_MICROS]));
        let was = clock.jump(ahead);
        self.note(|| format!("the clock of {whose} jumps from {was} µs ahead to {ahead}"));
    }

    /// Renews a lease while the store's clock is ahead. Its owner's next renewal is the first with the right time.
    fn lease_ahead(&self, owner: &str, lease: Duration) {
        let ahead = self.store_clock.jump(JUMP_MICROS);
        self.store.renew(&Owner::new(owner), lease).now_or_never().unwrap().unwrap();
        self.store_clock.jump(ahead);
        self.note(|| format!("the lease of {owner} lies ahead"));
    }
}

/// Changes the history until this moment.
pub(super) async fn change_history(cluster: Arc<Cluster>, until: Duration) {
    let world = Arc::clone(&cluster.world);
    loop {
        world.clock().sleep(world.below(Duration::from_secs(2))).await;
        if world.now() >= until {
            return;
        }
        let (instance, clocks_jump) = (cluster.any(), world.history.clocks_jump);
        match (world.draw(|rng| rng.below(6)), instance) {
            (0 | 1, _) if world.history.rollback_target == RollbackTarget::Backup => world.copy_store(),
            (0 | 1, _) if world.history.rollback_target == RollbackTarget::SynchronousStandby => world.cut_standby(),
            (2 | 3, _) => world.roll_back(),
            (4, Some(instance)) if clocks_jump && world.chance(500) => world.jump(&instance.clock, &instance.name),
            (4, _) if clocks_jump => world.jump(&world.store_clock, "the store"),
            (5, Some(instance)) if clocks_jump => {
                world.lease_ahead(&instance.name, cluster.lease());
                if world.chance(500) {
                    cluster.crash(cluster.any_slot());
                }
            }
            _ => {}
        }
    }
}
