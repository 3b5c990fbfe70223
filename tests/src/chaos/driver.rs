//! The driver: injects faults one or a few at a time, heals them, and measures how long everything takes to be well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::chaos::fault::{Fault, Kind};
use crate::chaos::ledger::{Ledger, lock};
use crate::chaos::listener::Listeners;
use crate::chaos::recovery::{Recovery, recover};
use crate::chaos::world::World;
use crate::chaos::{Length, Settings};
use crate::data::seed::Seed;

/// How often the driver looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// How long lies between two strokes of a storm.
const STORM_INTERVAL: Duration = Duration::from_millis(300);

/// The faults and recoveries of a run.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// Faults by their kinds.
    pub(crate) faults: BTreeMap<Kind, u32>,
    /// How often several faults overlapped.
    pub(crate) overlaps: u32,
    /// The longest recovery, and the faults before it.
    pub(crate) longest: Option<(Recovery, String)>,
    /// How long each recovery took.
    pub(crate) recoveries: Vec<Duration>,
    /// Memory in KiB and open files of the instance that was never ended, each time that all was well.
    pub(crate) upkeep: Vec<(u64, usize)>,
}

/// The driver of a run.
pub(crate) struct Driver<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a mut World,
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) listeners: &'a Listeners,
    pub(crate) seed: Seed,
    pub(crate) begun: Instant,
    /// Kinds that are still to come in this round.
    pub(crate) remaining_kinds: Vec<Kind>,
    /// How many times all kinds came.
    pub(crate) rounds: u32,
    pub(crate) statistics: Statistics,
}

impl Driver<'_> {
    /// Drives until the end of the run.
    ///
    /// # Errors
    /// A server can't be disturbed or healed.
    pub(crate) fn drive(mut self) -> Result<Statistics> {
        self.pause();
        while self.is_running() {
            let faults = self.choose_faults();
            self.episode(&faults)?;
            let healed = Instant::now();
            self.world.await_instances();
            let Some(recovery) = recover(self.world, self.ledger, self.listeners, healed) else {
                self.ledger.find(format!("nothing is well again after {}", names(&faults)));
                return Ok(self.statistics);
            };
            self.record(&recovery, &faults);
            self.pause();
        }
        Ok(self.statistics)
    }

    fn is_running(&self) -> bool {
        match self.settings.length {
            Length::For(time) => self.begun.elapsed() < time,
            Length::Rounds(rounds) => self.rounds < rounds || !self.remaining_kinds.is_empty(),
        }
    }

    /// Draws the faults of one episode: no two of them disturb the same target.
    fn choose_faults(&mut self) -> Vec<Fault> {
        let wanted = [1, 1, 2, 2, 2, 3][self.seed.below(6)];
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..wanted {
            let Some(kind) = self.next_kind(faults.is_empty()) else { break };
            let fault = Fault::draw(kind, self.settings.instances, self.settings.brevity, &mut self.seed);
            if faults.iter().any(|other| other.targets.iter().any(|target| fault.targets.contains(target))) {
                self.remaining_kinds.insert(0, kind);
            } else {
                faults.push(fault);
            }
        }
        faults
    }

    fn next_kind(&mut self, needed: bool) -> Option<Kind> {
        if self.remaining_kinds.is_empty() && needed {
            self.remaining_kinds = Kind::ALL.to_vec();
            for place in (1..self.remaining_kinds.len()).rev() {
                let other = self.seed.below(place + 1);
                self.remaining_kinds.swap(place, other);
            }
            self.rounds += 1;
        }
        self.remaining_kinds.pop()
    }

    /// Lets faults begin one after the other, and end each in its time.
    fn episode(&mut self, faults: &[Fault]) -> Result<()> {
        let begun = Instant::now();
        let mut start = Duration::ZERO;
        let mut waiting: VecDeque<(Duration, &Fault)> = VecDeque::new();
        for fault in faults {
            waiting.push_back((start, fault));
            let later = u64::try_from(self.seed.below(2_000)).unwrap_or_default();
            start += Duration::from_millis(later) / self.settings.brevity;
        }
        let mut lasting: Vec<(Instant, Instant, &Fault)> = Vec::new();
        self.statistics.overlaps += u32::from(faults.len() > 1);
        while !waiting.is_empty() || !lasting.is_empty() {
            if let Some((_, fault)) = waiting.pop_front_if(|(start, _)| begun.elapsed() >= *start) {
                self.report(&format!("begins: {fault}"));
                *self.statistics.faults.entry(fault.kind).or_default() += 1;
                fault.inject(self.world)?;
                lasting.push((Instant::now() + fault.lasts, Instant::now() + STORM_INTERVAL, fault));
            }
            let now = Instant::now();
            for (_, next, fault) in lasting.iter_mut().filter(|(_, next, fault)| fault.kind.is_storm() && now >= *next)
            {
                fault.repeat(self.world)?;
                *next += STORM_INTERVAL;
            }
            for (_, _, fault) in lasting.extract_if(.., |(end, _, _)| now >= *end) {
                self.report(&format!("ends:   {fault}"));
                fault.revert(self.world)?;
            }
            sleep(TICK);
        }
        Ok(())
    }

    fn record(&mut self, recovery: &Recovery, faults: &[Fault]) {
        let after = names(faults);
        self.report(&format!("well after {:.2} s ({} last)", recovery.took.as_secs_f64(), recovery.last));
        if recovery.took > self.settings.recovery_max {
            self.ledger.find(format!("it took {:?} until {} was well after {after}", recovery.took, recovery.last));
        }
        self.statistics.recoveries.push(recovery.took);
        if self.statistics.longest.as_ref().is_none_or(|(longest, _)| longest.took < recovery.took) {
            self.statistics.longest = Some((*recovery, after));
        }
        self.statistics.upkeep.extend(self.upkeep());
    }

    /// Lets the world run undisturbed for a moment.
    fn pause(&mut self) {
        let ms = u64::try_from(200 + self.seed.below(1_500)).unwrap_or_default();
        sleep(Duration::from_millis(ms) / self.settings.brevity);
    }

    /// Returns the memory in KiB and the open files of the last instance.
    fn upkeep(&self) -> Option<(u64, usize)> {
        let pid = lock(&self.world.instances.last()?.service).pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib = resident.split_whitespace().next()?.parse().ok()?;
        Some((kib, std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()))
    }

    fn report(&self, what: &str) {
        println!("{:8.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

fn names(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join(" + ")
}
