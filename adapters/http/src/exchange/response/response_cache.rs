//! A cache of responses, each valid until the next record is stored: [`crate::exchange::response::conditional`] says
//! why. The cache is bounded in bytes and evicts the least recently used responses first.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::header::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// The overhead of a cached response, estimated.
const OVERHEAD_BYTES: u64 = 256;

/// The typical size of a response, for sizing the cache: totals of a few dozen groups.
const USUAL_BYTES: u64 = 8 * 1024;

/// A cached response.
#[derive(Debug, Clone)]
pub(crate) struct CachedResponse {
    /// Its validator.
    pub(crate) tag: HeaderValue,
    pub(crate) body: Bytes,
    /// The cursor of the next page.
    pub(crate) link: Option<HeaderValue>,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct ResponseCache {
    entries: Cache<String, CachedResponse, BySize>,
    bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Clone)]
struct BySize;

impl Weighter<String, CachedResponse> for BySize {
    fn weight(&self, key: &String, response: &CachedResponse) -> u64 {
        OVERHEAD_BYTES + (key.len() + response.body.len()) as u64
    }
}

impl ResponseCache {
    /// Makes a cache of up to so many bytes; with 0, it keeps nothing.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let items = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
        Self {
            entries: Cache::with_weighter(items, bytes_max, BySize),
            bytes_max,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Returns the response to a query, if it is cached and current.
    pub(crate) fn get(&self, query: &str, tag: &HeaderValue) -> Option<CachedResponse> {
        let response = self.entries.get(query).filter(|response| response.tag == *tag);
        let counter = if response.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        response
    }

    /// Returns the numbers of hits and misses.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [&self.hits, &self.misses].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Returns the longest response that is cached: an eighth of the cache.
    pub(crate) fn length_max(&self) -> usize {
        usize::try_from(self.bytes_max / 8).unwrap_or(usize::MAX)
    }

    /// Caches a response.
    pub(crate) fn put(&self, query: String, response: CachedResponse) {
        if response.body.len() <= self.length_max() && self.bytes_max > 0 {
            self.entries.insert(query, response);
        }
    }
}

#[cfg(test)]
mod tests;
