//! What an adapter remembers of its store from one commit to the next, so that a batch can be planned without asking
//! first.
//!
//! Nothing is decided by it: the store refuses a plan that was made from what is no longer so, and the batch is then
//! planned from what the store says under lock.

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tallyhouse_core::{Key, Summary};

/// Most bytes of summaries that are remembered, about: those of some 35,000 keys.
const BYTES_MAX: u64 = 16 << 20;

/// What a key without its texts and a summary without totals take, about; and the totals of a unit.
const BYTES_PER_KEY: u64 = 220;
const BYTES_PER_UNIT: u64 = 230;

/// The summaries of the keys that were in use last, as they are expected to be. What is rarely used goes when there are
/// too many.
#[derive(Debug)]
pub struct SummaryCache(Cache<Key, Summary, ByUnits>);

#[derive(Debug, Clone)]
struct ByUnits;

impl Weighter<Key, Summary> for ByUnits {
    fn weight(&self, key: &Key, summary: &Summary) -> u64 {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let texts = number(key.destination_id.as_str().len() + key.reference.as_str().len());
        BYTES_PER_KEY + texts + BYTES_PER_UNIT.saturating_mul(number(summary.totals().len()))
    }
}

impl Default for SummaryCache {
    fn default() -> Self {
        let items = usize::try_from(BYTES_MAX / (BYTES_PER_KEY + BYTES_PER_UNIT)).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(items, BYTES_MAX, ByUnits))
    }
}

impl SummaryCache {
    /// Returns the summary that this key is expected to have: `None` if that is not known.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Summary> {
        self.0.get(key)
    }

    /// Notes what a plan is about to write.
    pub fn note(&mut self, planned: &[(Key, Summary)]) {
        for (key, summary) in planned {
            self.0.insert(key.clone(), summary.clone());
        }
    }

    /// Forgets some keys: after a commit of theirs that was not done, or of which nobody knows whether it was.
    pub fn forget_keys<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>) {
        for key in keys {
            self.0.remove(key);
        }
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests;
