//! Decides whether to commit optimistically: not after a miss, and again after 16 hits in a row.

/// Says whether to speculate: until one miss; resume after 16 hits. A workload in which speculation always misses then
/// pays for one miss only.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpeculationGate {
    /// The hits that are missing until speculation resumes.
    hits_missing: u32,
}

impl SpeculationGate {
    /// The hits in a row after which speculation resumes.
    const HITS_TO_RESUME: u32 = 16;

    /// Says whether to speculate.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.hits_missing == 0
    }

    /// Records a hit or a miss: also of a prediction that was not acted upon.
    pub fn record(&mut self, hit: bool) {
        self.hits_missing = if hit { self.hits_missing.saturating_sub(1) } else { Self::HITS_TO_RESUME };
    }
}

#[cfg(test)]
mod tests;
