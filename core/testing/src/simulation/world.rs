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
pub(super) struct Faults {
    pub(super) fails_before: u64,
    pub(super) fails_after: u64,
    /// The caller times out, and the call is done later.
    pub(super) done_late: u64,
    pub(super) is_partial: u64,
    pub(super) is_slow: u64,
    /// The longest wait of a slow call.
    pub(super) slow_max: Duration,
}

impl Faults {
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
pub(super) struct Weather {
    pub(super) storage: Faults,
    pub(super) emitter: Faults,
    pub(super) queue: Faults,
    /// How many of 1,000 pings report the opposite.
    pub(super) ping_lies: u64,
    pub(super) crashes: bool,
    pub(super) stops: bool,
    pub(super) freezes: bool,
    pub(super) outages: bool,
    pub(super) full_disk: bool,
    /// Whether no message may be published twice: storage and instances have no faults, and a failed publication has
    /// published nothing.
    pub(super) once: bool,
}

impl Weather {
    pub(super) const FINE: Self = Self {
        storage: NO_FAULTS,
        emitter: NO_FAULTS,
        queue: NO_FAULTS,
        ping_lies: 0,
        crashes: false,
        stops: false,
        freezes: false,
        outages: false,
        full_disk: false,
        once: false,
    };

    pub(super) fn draw(rng: &mut Generator) -> Self {
        let [storage, emitter, queue] = [(); 3].map(|()| Faults::draw(rng));
        let all = Self {
            storage,
            emitter,
            queue,
            ping_lies: rng.below(2) * rng.below(300),
            crashes: rng.once_in(2),
            stops: rng.once_in(3),
            freezes: rng.once_in(3),
            outages: rng.once_in(2),
            full_disk: rng.once_in(4),
            once: false,
        };
        if rng.once_in(5) { all.with_nothing_published_twice() } else { all }
    }

    fn with_nothing_published_twice(self) -> Self {
        // Slow emitters build up a backlog while answers of storage are under way.
        let emitter = Faults { fails_after: 0, done_late: 0, is_partial: 0, is_slow: 500, ..self.emitter };
        // Never so slow that storage counts as away: others would publish again the entries that can't be marked then.
        let slow_max = Duration::from_millis(40);
        let storage = Faults { is_slow: 2 * self.storage.is_slow, slow_max, ..NO_FAULTS };
        Self { storage, emitter, queue: self.queue, stops: self.stops, once: true, ..Self::FINE }
    }
}

const NO_FAULTS: Faults =
    Faults { fails_before: 0, fails_after: 0, done_late: 0, is_partial: 0, is_slow: 0, slow_max: Duration::ZERO };

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
    weather: Mutex<Weather>,
    /// Until when storage refuses every record.
    full_until: Mutex<Duration>,
    /// The outages of storage, the emitter and the queue.
    away: Mutex<[Outage; 3]>,
    /// Each commit that is on its way to the store holds a clone.
    commit: Arc<()>,
    trace: Option<Mutex<String>>,
}

/// A time in which a port is away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outage {
    pub(super) until: Duration,
    /// Whether nothing is answered meanwhile; else everything fails at once.
    pub(super) is_silent: bool,
}

/// A port that can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Storage,
    Emitter,
    Queue,
}

impl World {
    pub(super) fn new(seed: u64, histories: Histories, is_traced: bool) -> Arc<Self> {
        let mut rng = Generator::new(seed);
        let mut weather = Weather::draw(&mut rng);
        let executor = Executor::new(rng.number());
        let store_clock = VirtualClock::new(&executor, Duration::ZERO);
        let store = Arc::new(MemoryRepository::new(Arc::new(store_clock.clone())));
        let history = match histories {
            Histories::One => History::single(),
            // After a store has gone back, published messages may be in the outbox again.
            Histories::Several => {
                weather.once = false;
                History::draw(&mut rng, &store)
            }
            Histories::Returning => {
                weather.once = false;
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
            weather: Mutex::new(weather),
            full_until: Mutex::default(),
            away: Mutex::default(),
            commit: Arc::default(),
            trace: is_traced.then(Mutex::default),
        });
        world.note(|| format!("the world has {weather:?} and {:?}", world.history));
        world
    }

    /// Draws something.
    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Generator) -> T) -> T {
        draw(&mut self.rng.lock().unwrap())
    }

    pub(super) fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
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

    pub(super) fn take_away(&self, port: Port, outage: Outage) {
        self.away.lock().unwrap()[port as usize] = outage;
    }

    /// Returns the outage of a port, if it is away.
    pub(super) fn outage(&self, port: Port) -> Option<Outage> {
        let outage = self.away.lock().unwrap()[port as usize];
        (self.now() < outage.until).then_some(outage)
    }

    pub(super) fn fill_disk(&self, until: Duration) {
        *self.full_until.lock().unwrap() = until;
    }

    pub(super) fn is_full(&self) -> bool {
        self.now() < *self.full_until.lock().unwrap()
    }

    /// Ends every fault.
    pub(super) fn heal(&self) {
        self.note(|| "all is well from now on".to_owned());
        *self.weather.lock().unwrap() = Weather { once: self.weather().once, ..Weather::FINE };
        *self.away.lock().unwrap() = Default::default();
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
