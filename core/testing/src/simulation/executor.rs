//! A tiny executor over virtual time: which of the ready tasks is polled next is drawn from a seed, and nothing else.
//!
//! Time stands still while anything can run (but for small steps that are drawn, too), and then jumps to the next
//! timer. Tasks come in groups, one for each running instance: a group can be killed, which drops its futures wherever
//! they are, or frozen, which leaves them unpolled until a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::doubles::generate::Generator;
use async_trait::async_trait;
use futures::future::BoxFuture;
use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::Clock;

/// More polls than this are a busy loop.
const POLLS_MAX: u64 = 400_000;

/// Tasks that are killed and frozen together: those of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group(pub(super) u32);

type TaskId = u64;

pub(super) struct Executor {
    state: Mutex<State>,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

struct State {
    rng: Generator,
    now: Duration,
    tasks: BTreeMap<TaskId, Task>,
    tasks_made: TaskId,
    timers: BTreeMap<(Duration, u64), Waker>,
    timers_made: u64,
    frozen: BTreeMap<Group, Duration>,
    /// If set, the ready task with the highest priority runs. Now and then any ready task runs instead, and gets a new
    /// priority. If not set, any ready task runs.
    by_priority: bool,
    /// Once in this many polls some time passes although a task is ready; 0 for never.
    drift_every: u64,
    polls: u64,
}

struct Task {
    group: Group,
    priority: u64,
    /// `None` while it is polled.
    future: Option<BoxFuture<'static, ()>>,
}

struct Wakes {
    task: TaskId,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().insert(self.task);
    }
}

/// The next step of the executor.
enum Next {
    Run(TaskId, BoxFuture<'static, ()>),
    TimePassed,
    Nothing,
}

impl Executor {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let mut rng = Generator::new(seed);
        let by_priority = rng.once_in(3);
        let drift_every = *rng.pick(&[0, 10, 100]);
        let state = State {
            rng,
            now: Duration::ZERO,
            tasks: BTreeMap::new(),
            tasks_made: 0,
            timers: BTreeMap::new(),
            timers_made: 0,
            frozen: BTreeMap::new(),
            by_priority,
            drift_every,
            polls: 0,
        };
        Arc::new(Self { state: Mutex::new(state), ready: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn spawn(&self, group: Group, future: impl Future<Output = ()> + Send + 'static) -> TaskId {
        let mut state = self.state();
        state.tasks_made += 1;
        let id = state.tasks_made;
        let priority = state.rng.number();
        state.tasks.insert(id, Task { group, priority, future: Some(Box::pin(future)) });
        self.ready.lock().unwrap().insert(id);
        id
    }

    /// Drops one task, wherever it is.
    pub(super) fn abort(&self, task: TaskId) {
        let task = self.state().tasks.remove(&task);
        drop(task);
    }

    /// Drops the tasks of a group in a random order, wherever they are.
    pub(super) fn kill(&self, group: Group) {
        let mut state = self.state();
        let mut ids: Vec<TaskId> = of_group(&state, group).collect();
        state.rng.shuffle(&mut ids);
        let tasks: Vec<_> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        state.frozen.remove(&group);
        // A dropped future may wake others, and take back its timers.
        drop(state);
        drop(tasks);
    }

    /// Drops everything: tasks hold the executor, and the executor holds tasks.
    pub(super) fn clear(&self) {
        let tasks = std::mem::take(&mut self.state().tasks);
        drop(tasks);
    }

    /// Polls nothing of a group until this moment.
    pub(super) fn freeze(&self, group: Group, until: Duration) {
        self.state().frozen.insert(group, until);
    }

    pub(super) fn thaw_all(&self) {
        self.state().frozen.clear();
    }

    /// Returns how many tasks of a group have not ended.
    pub(super) fn alive(&self, group: Group) -> usize {
        of_group(&self.state(), group).count()
    }

    pub(super) fn polls(&self) -> u64 {
        self.state().polls
    }

    /// Runs until `done` returns true; returns whether it did so by the deadline.
    pub(super) fn run_until(&self, deadline: Duration, mut done: impl FnMut() -> bool) -> bool {
        while !done() {
            match self.next(deadline) {
                Next::Run(id, future) => self.poll(id, future),
                Next::TimePassed => {}
                Next::Nothing => return done(),
            }
            if self.polls() > POLLS_MAX {
                return false;
            }
        }
        true
    }

    fn next(&self, deadline: Duration) -> Next {
        let mut state = self.state();
        let now = state.now;
        state.frozen.retain(|_, until| *until > now);
        let candidates: Vec<TaskId> = {
            let mut ready = self.ready.lock().unwrap();
            ready.retain(|id| state.tasks.contains_key(id));
            let thawed = |id: &&TaskId| !state.frozen.contains_key(&state.tasks[*id].group);
            ready.iter().filter(thawed).copied().collect()
        };
        if candidates.is_empty() {
            return state.jump(deadline);
        }
        let drift_every = state.drift_every;
        if drift_every > 0 && state.rng.once_in(drift_every) {
            let step = Duration::from_micros(state.rng.below(5_000));
            state.pass(now + step);
        }
        let id = state.choose(&candidates);
        self.ready.lock().unwrap().remove(&id);
        state.polls += 1;
        let future = state.tasks.get_mut(&id).and_then(|task| task.future.take());
        Next::Run(id, future.expect("a task is polled by one at a time"))
    }

    fn poll(&self, id: TaskId, mut future: BoxFuture<'static, ()>) {
        let waker = Waker::from(Arc::new(Wakes { task: id, ready: Arc::clone(&self.ready) }));
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.state();
        if ended {
            state.tasks.remove(&id);
        } else if let Some(task) = state.tasks.get_mut(&id) {
            task.future = Some(future);
            return;
        }
        drop(state);
        drop(future);
    }
}

fn of_group(state: &State, group: Group) -> impl Iterator<Item = TaskId> {
    state.tasks.iter().filter(move |(_, task)| task.group == group).map(|(id, _)| *id)
}

impl State {
    fn choose(&mut self, candidates: &[TaskId]) -> TaskId {
        if self.by_priority && !self.rng.once_in(20) {
            let highest = candidates.iter().max_by_key(|id| self.tasks[*id].priority);
            return *highest.expect("there is a candidate");
        }
        let id = *self.rng.pick(candidates);
        let priority = self.rng.number();
        self.tasks.entry(id).and_modify(|task| task.priority = priority);
        id
    }

    /// Goes to the next moment at which anything happens, but no further than the deadline.
    fn jump(&mut self, deadline: Duration) -> Next {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let thaw = self.frozen.values().min().copied();
        match timer.into_iter().chain(thaw).min() {
            Some(at) if at <= deadline => {
                self.pass(at);
                Next::TimePassed
            }
            Some(_) | None => Next::Nothing,
        }
    }

    fn pass(&mut self, to: Duration) {
        self.now = self.now.max(to);
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= self.now) {
            timer.remove().wake();
        }
    }
}

/// The clock of a simulated world, or of the store or one instance in it, whose time of day may be wrong. Clones are the
/// same clock.
#[derive(Clone)]
pub(super) struct VirtualClock {
    executor: Arc<Executor>,
    /// By how many microseconds its time of day is ahead.
    ahead: Arc<AtomicI64>,
}

impl VirtualClock {
    pub(super) fn new(executor: &Arc<Executor>, ahead: Duration) -> Self {
        let ahead = i64::try_from(ahead.as_micros()).unwrap();
        Self { executor: Arc::clone(executor), ahead: Arc::new(AtomicI64::new(ahead)) }
    }

    /// Sets by how many microseconds the time of day is ahead, and returns how many it was.
    pub(super) fn jump(&self, ahead: i64) -> i64 {
        self.ahead.swap(ahead, Ordering::SeqCst)
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(1_767_225_600_000_000 + micros + self.ahead.load(Ordering::SeqCst)).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.executor.state().now
    }

    async fn sleep(&self, duration: Duration) {
        let mut timer = Timer { executor: &self.executor, at: self.elapsed().saturating_add(duration), number: None };
        poll_fn(|context| timer.poll(context)).await;
    }
}

/// A wait. Dropping it removes its timer.
struct Timer<'a> {
    executor: &'a Executor,
    at: Duration,
    number: Option<u64>,
}

impl Timer<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.executor.state();
        if self.number.is_some() && state.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.timers_made += 1;
            state.timers_made
        });
        state.timers.insert((self.at, number), context.waker().clone());
        if state.now >= self.at {
            // A wait of no length only lets others run.
            let now = state.now;
            state.pass(now);
        }
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.executor.state().timers.remove(&(self.at, number));
        }
    }
}
