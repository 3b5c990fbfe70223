//! The cache for optimistic commits: summaries as the last commits left them, so that a batch is planned without a read.
//!
//! The cache may be stale. The store checks every cached summary in the same transaction; if one is stale, the adapter
//! plans the batch again, with locks.

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tallyhouse_core::{Key, Summary};

/// The approximate size of the cache in bytes: some 35,000 keys.
const BYTES_MAX: u64 = 16 << 20;

/// The approximate bytes of a key without its texts and a summary without totals, and of the totals of one unit.
const BYTES_PER_KEY: u64 = 220;
const BYTES_PER_UNIT: u64 = 230;

/// The expected summaries of recently used keys. The cache evicts rarely used keys when it is full.
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
    /// Returns the expected summary of a key; `None` if it is not cached.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Summary> {
        self.0.get(key)
    }

    /// Caches the summaries that a plan is about to write.
    pub fn insert(&mut self, planned: &[(Key, Summary)]) {
        for (key, summary) in planned {
            self.0.insert(key.clone(), summary.clone());
        }
    }

    /// Removes some keys: after their commit has failed, or when its result is unknown.
    pub fn remove<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>) {
        for key in keys {
            self.0.remove(key);
        }
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests;
