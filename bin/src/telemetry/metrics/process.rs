//! What the process takes of the system, from Linux' `/proc`.

use std::fs;

/// Ticks of the processor's clock in a second, as all of Linux shows them (`USER_HZ`; proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// Time of the processor.
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    /// `None` where there is no limit.
    pub(super) max_fds: Option<u64>,
    pub(super) threads: u64,
    /// When it was started, since the epoch.
    pub(super) start_seconds: f64,
}

/// Reads what this process has taken; `None` where the system does not show it.
pub(super) fn read() -> Option<Process> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let open_fds = fs::read_dir("/proc/self/fd").ok()?.count();
    parse(
        &text("/proc/self/stat")?,
        &text("/proc/self/status")?,
        &text("/proc/self/limits")?,
        &text("/proc/stat")?,
        u64::try_from(open_fds).ok()?,
    )
}

fn parse(stat: &str, status: &str, limits: &str, system: &str, open_fds: u64) -> Option<Process> {
    // The name in parentheses may hold anything; behind it come fields 3 and on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    let number = |text: &str, line: &str| word_after(text, line)?.parse::<u64>().ok();
    Some(Process {
        cpu_seconds: ticks(14)? + ticks(15)?,
        resident_bytes: number(status, "VmRSS:")? * 1024,
        virtual_bytes: number(status, "VmSize:")? * 1024,
        open_fds,
        max_fds: number(limits, "Max open files"),
        threads: number(status, "Threads:")?,
        start_seconds: word_after(system, "btime")?.parse::<f64>().ok()? + ticks(22)?,
    })
}

/// Returns the first word behind the beginning of a line.
fn word_after<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(beginning))?.split_whitespace().next()
}

#[cfg(test)]
mod tests;
