//! What the kernel says of processes (proc(5)): time on the processors, memory, handles, threads.

use std::collections::HashMap;
use std::fs;
use std::ops::Sub;
use std::time::Duration;

/// The kernel counts time for users in hundredths of a second, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

/// Time on the processors, of all threads and children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Of the service, or of what stands in its place.
    pub service: Duration,
    /// Of all processes of Postgres.
    pub postgres: Duration,
    /// Of Redis.
    pub redis: Duration,
    /// Of this process: senders and listeners.
    pub load: Duration,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            service: self.service.saturating_sub(earlier.service),
            postgres: self.postgres.saturating_sub(earlier.postgres),
            redis: self.redis.saturating_sub(earlier.redis),
            load: self.load.saturating_sub(earlier.load),
        }
    }
}

/// The state of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Resident memory, in KiB.
    pub resident_kib: u64,
    /// The most resident memory that it has had, in KiB.
    pub peak_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub handles: usize,
}

/// One line of `/proc/<pid>/stat`.
struct Stat {
    parent: u32,
    /// Its own, and that of the children that it has waited for.
    ticks: u64,
}

/// Returns the time that processes and their living and ended descendants have had on the processors.
#[must_use]
pub fn cpu_of(pids: &[u32]) -> Duration {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stats: HashMap<u32, Stat> = numbers.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let belongs = |pid: u32| {
        let mut at = Some(pid);
        while let Some(here) = at {
            if pids.contains(&here) {
                return true;
            }
            at = stats.get(&here).map(|stat| stat.parent).filter(|parent| *parent != 0);
        }
        false
    };
    let ticks: u64 = stats.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, stat)| stat.ticks).sum();
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Returns the time that this process has had on the processors, without its children's.
#[must_use]
pub fn cpu_of_self() -> Duration {
    let fields = fields_of("self").unwrap_or_default();
    TICK * u32::try_from(field(&fields, 11) + field(&fields, 12)).unwrap_or(u32::MAX)
}

/// Returns the state of a process; nothing, where there is none.
#[must_use]
pub fn state_of(pid: u32) -> State {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|text| text.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    let handles = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    State { resident_kib: number("VmRSS:"), peak_kib: number("VmHWM:"), threads: number("Threads:"), handles }
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let fields = fields_of(&pid.to_string())?;
        let ticks = (11..15).map(|n| field(&fields, n)).sum();
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks })
    }
}

/// Returns the fields behind the name, which stands in parentheses and may hold anything: the first is the state.
fn fields_of(process: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn field(fields: &[String], n: usize) -> u64 {
    fields.get(n).and_then(|text| text.parse().ok()).unwrap_or_default()
}
