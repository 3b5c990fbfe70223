//! ResponseCache that were made before, and are sent again as long as nothing was stored since: see [`crate::answer::conditional`]
//! for why that is right. Bounded in bytes; what was not asked for lately goes first.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::header::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What an answer costs beside its bytes, about.
const OVERHEAD_BYTES: u64 = 256;

/// How many answers the cache is laid out for: totals of a few dozen groups are some 8 KiB.
const USUAL_BYTES: u64 = 8 * 1024;

/// An answer that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The validator of what it says.
    pub(crate) tag: HeaderValue,
    pub(crate) body: Bytes,
    /// Where the next page is.
    pub(crate) link: Option<HeaderValue>,
}

/// The answers.
#[derive(Debug)]
pub(crate) struct ResponseCache {
    kept: Cache<String, Kept, BySize>,
    bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Clone)]
struct BySize;

impl Weighter<String, Kept> for BySize {
    fn weight(&self, key: &String, kept: &Kept) -> u64 {
        OVERHEAD_BYTES + (key.len() + kept.body.len()) as u64
    }
}

impl ResponseCache {
    /// Keeps up to so many bytes of answers; with 0, none.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let items = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
        Self {
            kept: Cache::with_weighter(items, bytes_max, BySize),
            bytes_max,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Returns the answer to a question, if it is kept and still good.
    pub(crate) fn get(&self, question: &str, tag: &HeaderValue) -> Option<Kept> {
        let kept = self.kept.get(question).filter(|kept| kept.tag == *tag);
        let counter = if kept.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Returns how many answers were found, and how many were not.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [&self.hits, &self.misses].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Returns how long an answer may be to be kept: none takes more than an eighth of the room.
    pub(crate) fn length_max(&self) -> usize {
        usize::try_from(self.bytes_max / 8).unwrap_or(usize::MAX)
    }

    /// Keeps an answer.
    pub(crate) fn put(&self, question: String, kept: Kept) {
        if kept.body.len() <= self.length_max() && self.bytes_max > 0 {
            self.kept.insert(question, kept);
        }
    }
}

#[cfg(test)]
mod tests;
