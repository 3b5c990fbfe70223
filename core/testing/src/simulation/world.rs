//! The shared state of one simulated world: its random numbers, its clock, its faults, its trace, and the store.

use crate::doubles::generate::Generator;
use crate::memory::repository::MemoryRepository;
use crate::simulation::executor::{Executor, Group, VirtualClock};
use crate::simulation::history::History;
use crate::simulation::ledger::Ledger;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallyhouse_core::ports::{Clock as _, PortError, PortErrorKind};

/// Producers, readers, and the task that injects faults.
pub(super) const CLIENTS: Group = Group(0);
/// The servers behind the ports: a call that has reached them continues when its caller has died.
pub(super) const SERVERS: Group = Group(1);

/// How often each fault of a port happens, in 1,000 calls.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FaultRates {
    pub(super) fails_before: u64,
    pub(super) fails_after: u64,
    /// The caller times out, and the call is done later.
    pub(super) done_late: u64,
    pub(super) is_partial: u64,
    pub(super) is_slow: u64,
    /// The longest wait of a slow call.
    pub(super) slow_max: Duration,
}

impl FaultRates {
    /// Draws which faults there are, and how often; most worlds have few of them.
    fn draw(rng: &mut Generator) -> Self {
        let mut chance = || if rng.once_in(2) { 0 } else { rng.below(150) };
        let (fails_before, fails_after, done_late, is_partial) = (chance(), chance(), chance(), chance());
        let is_slow = chance();
        let slow_max = Duration::from_millis(*rng.pick(&[20, 500, 4_000]));
        Self { fails_before, fails_after, done_late, is_partial, is_slow, slow_max }
    }
}

/// The faults of one world.
#[derive(Debug, Clone, Copy)]
pub(super) struct FaultProfile {
    pub(super) storage: FaultRates,
    pub(super) emitter: FaultRates,
    pub(super) queue: FaultRates,
    /// How many of 1,000 pings report the opposite.
    pub(super) wrong_pings: u64,
    pub(super) crashes: bool,
    pub(super) stops: bool,
    pub(super) freezes: bool,
    pub(super) outages: bool,
    pub(super) full_disk: bool,
    /// Whether no message may be published twice: storage and instances have no faults, and a failed publication has
    /// published nothing.
    pub(super) no_duplicates: bool,
}

impl FaultProfile {
    pub(super) const NONE: Self = Self {
        storage: NO_FAULT_RATES,
        emitter: NO_FAULT_RATES,
        queue: NO_FAULT_RATES,
        wrong_pings: 0,
        crashes: false,
        stops: false,
        freezes: false,
        outages: false,
        full_disk: false,
        no_duplicates: false,
    };

    pub(super) fn draw(rng: &mut Generator) -> Self {
        let [storage, emitter, queue] = [(); 3].map(|()| FaultRates::draw(rng));
        let all = Self {
            storage,
            emitter,
            queue,
            wrong_pings: rng.below(2) * rng.below(300),
            crashes: rng.once_in(2),
            stops: rng.once_in(3),
            freezes: rng.once_in(3),
            outages: rng.once_in(2),
            full_disk: rng.once_in(4),
            no_duplicates: false,
        };
        if rng.once_in(5) { all.with_nothing_published_twice() } else { all }
    }

    fn with_nothing_published_twice(self) -> Self {
        // Slow emitters build up a backlog while answers of storage are in flight.
        let emitter = FaultRates { fails_after: 0, done_late: 0, is_partial: 0, is_slow: 500, ..self.emitter };
        // Never so slow that storage counts as unavailable: others would publish again the entries that can't be marked then.
        let slow_max = Duration::from_millis(40);
        let storage = FaultRates { is_slow: 2 * self.storage.is_slow, slow_max, ..NO_FAULT_RATES };
        Self { storage, emitter, queue: self.queue, stops: self.stops, no_duplicates: true, ..Self::NONE }
    }
}

const NO_FAULT_RATES: FaultRates =
    FaultRates { fails_before: 0, fails_after: 0, done_late: 0, is_partial: 0, is_slow: 0, slow_max: Duration::ZERO };

/// Whether the store has one history, or may go back to an earlier state and continue from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Histories {
    One,
    Several,
    /// Goes back, and soon after returns to the state that it left.
    Returning,
}

pub(super) struct World {
    pub(super) executor: Arc<Executor>,
    pub(super) store: Arc<MemoryRepository>,
    /// The clock of the store's server.
    pub(super) store_clock: VirtualClock,
    pub(super) history: History,
    pub(super) ledger: Mutex<Ledger>,
    rng: Mutex<Generator>,
    fault_profile: Mutex<FaultProfile>,
    /// Until when storage refuses every record.
    full_until: Mutex<Duration>,
    /// The outages of storage, the emitter and the queue.
    outages: Mutex<[Outage; 3]>,
    /// Each commit that is on its way to the store holds a clone.
    commit: Arc<()>,
    trace: Option<Mutex<String>>,
}

/// A time in which a port is unavailable.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outage {
    pub(super) until: Duration,
    /// Whether nothing is answered meanwhile; else everything fails at once.
    pub(super) is_silent: bool,
}

/// A port that can be unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Storage,
    Emitter,
    Queue,
}

impl World {
    pub(super) fn new(seed: u64, histories: Histories, is_traced: bool) -> Arc<Self> {
        let mut rng = Generator::new(seed);
        let mut fault_profile = FaultProfile::draw(&mut rng);
        let executor = Executor::new(rng.number());
        let store_clock = VirtualClock::new(&executor, Duration::ZERO);
        let store = Arc::new(MemoryRepository::new(Arc::new(store_clock.clone())));
        let history = match histories {
            Histories::One => History::single(),
            // After a store has gone back, published messages may be in the outbox again.
            Histories::Several => {
                fault_profile.no_duplicates = false;
                History::draw(&mut rng, &store)
            }
            Histories::Returning => {
                fault_profile.no_duplicates = false;
                History::returning()
            }
        };
        let world = Arc::new(Self {
            executor,
            store,
            store_clock,
            history,
            ledger: Mutex::default(),
            rng: Mutex::new(rng),
            fault_profile: Mutex::new(fault_profile),
            full_until: Mutex::default(),
            outages: Mutex::default(),
            commit: Arc::default(),
            trace: is_traced.then(Mutex::default),
        });
        world.note(|| format!("the world has {fault_profile:?} and {:?}", world.history));
        world
    }

    /// Draws something.
    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Generator) -> T) -> T {
        draw(&mut self.rng.lock().unwrap())
    }

    pub(super) fn fault_profile(&self) -> FaultProfile {
        *self.fault_profile.lock().unwrap()
    }

    /// Returns true for `times` of 1,000 calls, on average.
    pub(super) fn chance(&self, times: u64) -> bool {
        times > 0 && self.draw(|rng| rng.below(1_000)) < times
    }

    pub(super) fn below(&self, bound: Duration) -> Duration {
        let micros = u64::try_from(bound.as_micros()).unwrap();
        Duration::from_micros(self.draw(|rng| rng.below(micros.max(1))))
    }

    pub(super) fn clock(&self) -> VirtualClock {
        VirtualClock::new(&self.executor, Duration::ZERO)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock().elapsed()
    }

    pub(super) fn make_unavailable(&self, port: Port, outage: Outage) {
        self.outages.lock().unwrap()[port as usize] = outage;
    }

    /// Returns the outage of a port, if it is unavailable.
    pub(super) fn outage(&self, port: Port) -> Option<Outage> {
        let outage = self.outages.lock().unwrap()[port as usize];
        (self.now() < outage.until).then_some(outage)
    }

    pub(super) fn fill_disk(&self, until: Duration) {
        *self.full_until.lock().unwrap() = until;
    }

    pub(super) fn is_full(&self) -> bool {
        self.now() < *self.full_until.lock().unwrap()
    }

    /// Ends every fault.
    pub(super) fn end_faults(&self) {
        self.note(|| "all is well from now on".to_owned());
        *self.fault_profile.lock().unwrap() =
            FaultProfile { no_duplicates: self.fault_profile().no_duplicates, ..FaultProfile::NONE };
        *self.outages.lock().unwrap() = Default::default();
        self.fill_disk(Duration::ZERO);
        self.history.settle();
        self.executor.thaw_all();
    }

    /// Marks a commit as on its way, until what it returns is dropped.
    pub(super) fn begin_commit(&self) -> Arc<()> {
        Arc::clone(&self.commit)
    }

    /// Says whether a commit may still reach the store, also one whose caller has given up.
    pub(super) fn has_commits(&self) -> bool {
        Arc::strong_count(&self.commit) > 1
    }

    /// Adds an event to the trace, where there is one.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let micros = self.now().as_micros();
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            let polls = self.executor.polls();
            writeln!(trace.lock().unwrap(), "{seconds:>4}.{micros:06} #{polls:<6} {}", what()).unwrap();
        }
    }

    pub(super) fn take_trace(&self) -> String {
        self.trace.as_ref().map(|trace| std::mem::take(&mut *trace.lock().unwrap())).unwrap_or_default()
    }
}

pub(super) fn unavailable(what: &'static str) -> PortError {
    PortError::new(PortErrorKind::Unavailable, what, "so drawn")
}
