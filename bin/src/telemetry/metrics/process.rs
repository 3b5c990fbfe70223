//! The resources that this process uses, read from Linux' `/proc`.

use std::fs;

/// Clock ticks per second in `/proc` (`USER_HZ`; proc(5)): 100 on every architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The resources of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// User and system CPU time.
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    /// `None` where there is no limit.
    pub(super) max_fds: Option<u64>,
    pub(super) threads: u64,
    /// Start time, in seconds since the Unix epoch.
    pub(super) start_seconds: f64,
}

/// Reads the resources of this process; `None` where there is no `/proc`.
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
    // Field 2, the name in parentheses, may hold blanks and parentheses itself: fields are counted from its end.
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

/// Returns the first word after this beginning of a line.
fn word_after<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(beginning))?.split_whitespace().next()
}

#[cfg(test)]
mod tests;
