//! The report of a run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::chaos::driver::Statistics;
use crate::chaos::fault::Kind;
use crate::chaos::ledger::Ledger;
use crate::chaos::verdict::Counts;

/// What a run has shown. `Display` writes it for people.
#[derive(Debug)]
pub struct Report {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    /// How long it took at the end until everything was answered, empty and published.
    pub(crate) quiet: Duration,
    pub(crate) statistics: Statistics,
    pub(crate) counts: Counts,
    pub(crate) cut_short: u64,
    pub(crate) ledger: Arc<Ledger>,
}

impl Report {
    /// Returns how many faults there were.
    #[must_use]
    pub fn faults(&self) -> u32 {
        self.statistics.faults.values().sum()
    }

    /// Returns how many faults of a kind there were.
    #[must_use]
    pub fn faults_of(&self, kind: Kind) -> u32 {
        self.statistics.faults.get(&kind).copied().unwrap_or_default()
    }

    /// Returns how many records were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.counts.acknowledged
    }

    /// Returns what was found wrong, in words; of many findings the first.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        self.ledger.findings()
    }

    /// Says whether nothing was found wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.ledger.found() == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, took, quiet, statistics, counts, cut_short, ledger } = self;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        writeln!(f, "seed                    {seed}")?;
        writeln!(
            f,
            "ran for                 {:.0} s, and {:.1} s until all was quiet",
            took.as_secs_f64(),
            quiet.as_secs_f64()
        )?;
        writeln!(
            f,
            "faults                  {}, in {} episodes, {} of them of several at once",
            self.faults(),
            statistics.recoveries.len(),
            statistics.overlaps
        )?;
        for (kind, times) in &statistics.faults {
            writeln!(f, "  {times:4} {}", kind.name())?;
        }
        writeln!(f, "records acknowledged    {}", counts.acknowledged)?;
        writeln!(f, "repeats acknowledged    {}", count(&ledger.repeats))?;
        writeln!(f, "unanswered, and sent again  {} requests", count(&ledger.unanswered))?;
        writeln!(
            f,
            "conflicts, refusals     {} and {} over HTTP, {} dead letters",
            count(&ledger.conflicts),
            count(&ledger.refused),
            counts.letters
        )?;
        writeln!(f, "records stored          {}", counts.stored)?;
        writeln!(f, "lost                    {}", counts.lost)?;
        writeln!(f, "doubled                 {}", counts.doubled)?;
        writeln!(
            f,
            "messages                {} owed, {} published, {} repeats",
            counts.owed, counts.published, counts.repeated
        )?;
        if let Some((longest, after)) = &statistics.longest {
            let mut all = statistics.recoveries.clone();
            all.sort();
            let (took, median) = (longest.took.as_secs_f64(), all[all.len() / 2].as_secs_f64());
            writeln!(
                f,
                "longest recovery        {took:.1} s ({} last), after {after}; median {median:.2} s",
                longest.last
            )?;
        }
        if let (Some(first), Some(last)) = (statistics.upkeep.first(), statistics.upkeep.last()) {
            let most = statistics.upkeep.iter().map(|(kib, _)| kib / 1024).max().unwrap_or_default();
            let files = statistics.upkeep.iter().map(|(_, files)| files).max().unwrap_or(&0);
            writeln!(
                f,
                "memory of an instance   {} MiB at first, {most} at most, {} at the end",
                first.0 / 1024,
                last.0 / 1024
            )?;
            writeln!(f, "its open files          {} at first, {files} at most, {} at the end", first.1, last.1)?;
        }
        writeln!(f, "stops cut short         {cut_short}")?;
        writeln!(f, "found wrong             {}", ledger.found())
    }
}
