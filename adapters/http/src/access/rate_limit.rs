//! Rate limits: a token bucket for each caller.
//!
//! A bucket may run into debt. A batch takes one unit per record, and a batch larger than the burst must still pass
//! once; later refills pay for it. The limiters of the known crates refuse such a batch for ever, or charge it one full
//! bucket. This limiter counts whole billionths of a unit, so that it never drifts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep};

use crate::bounds::caller::Caller;
use crate::exchange::response::problem::Problem;
use crate::settings::RateLimit;

/// Levels count billionths of a unit: a rate of one unit a second gains one of them in a nanosecond.
const UNIT: i128 = 1_000_000_000;

/// The number of callers with a bucket of their own. Callers beyond it share one, which bounds memory.
const BUCKETS_MAX: usize = 100_000;

/// From this number of buckets on, full buckets are dropped at this interval. A full bucket equals no bucket.
const BUCKETS_KEPT: usize = 1_024;
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// The headers for the remaining units and for the limit (draft-ietf-httpapi-ratelimit-headers-10).
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The buckets of all callers.
#[derive(Debug)]
pub(crate) struct Limits {
    limit: RateLimit,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    of: HashMap<Caller, Bucket>,
    purged: Instant,
}

/// The units that a caller has left.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// In billionths of a unit; below zero is a debt.
    level: i128,
    /// The time at which `level` was computed.
    at: Instant,
}

impl Limits {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let limit = RateLimit { per_second: limit.per_second.max(1), burst: limit.burst.max(1) };
        Self { limit, buckets: Mutex::new(Buckets { of: HashMap::new(), purged: Instant::now() }) }
    }

    /// Runs `act` on a caller's bucket, refilled up to now.
    fn with<T>(&self, caller: &Caller, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.of.get_mut(caller) {
            bucket.refill(self.limit, now);
            return act(bucket);
        }
        buckets.purge(self.limit, now);
        let caller = if buckets.of.len() < BUCKETS_MAX { caller.clone() } else { Caller::Others };
        let bucket = buckets.of.entry(caller).or_insert_with(|| Bucket::full(self.limit, now));
        bucket.refill(self.limit, now);
        act(bucket)
    }
}

impl Buckets {
    fn purge(&mut self, limit: RateLimit, now: Instant) {
        if self.of.len() >= BUCKETS_KEPT && now - self.purged >= PURGE_EVERY {
            self.purged = now;
            self.of.retain(|_, bucket| {
                bucket.refill(limit, now);
                bucket.level < full(limit)
            });
        }
    }
}

fn full(limit: RateLimit) -> i128 {
    i128::from(limit.burst) * UNIT
}

impl Bucket {
    fn full(limit: RateLimit, now: Instant) -> Self {
        Self { level: full(limit), at: now }
    }

    fn refill(&mut self, limit: RateLimit, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        // Both factors are far below the 63 bits that either may have.
        let gained = i128::try_from(elapsed).unwrap_or(i128::MAX >> 64) * i128::from(limit.per_second);
        self.level = (self.level + gained).min(full(limit));
        self.at = self.at.max(now);
    }

    /// Takes units if the bucket holds at least `at_least`. More units than the bucket holds leave it in debt.
    fn try_acquire(&mut self, units: usize, at_least: u32) -> bool {
        let there_are = self.level >= i128::from(at_least) * UNIT;
        if there_are {
            self.level -= i128::try_from(units).unwrap_or(i128::MAX >> 64) * UNIT;
        }
        there_are
    }

    /// Returns the time until the bucket reaches a level.
    fn time_to(&self, level: i128, limit: RateLimit) -> Duration {
        let lacking = u128::try_from(level - self.level).unwrap_or(0);
        let nanos = lacking.div_ceil(u128::from(limit.per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// One caller's bucket.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    limits: Arc<Limits>,
    caller: Caller,
}

impl Meter {
    pub(crate) fn new(limits: &Arc<Limits>, caller: Caller) -> Self {
        Self { limits: Arc::clone(limits), caller }
    }

    /// Takes the unit of a call, or the first one of a batch.
    pub(crate) fn acquire_one(&self) -> Result<(), Problem> {
        self.try_acquire(1, 1)
    }

    /// Takes the remaining units of a batch, whose size is known only after the body is read. A bucket in debt refuses:
    /// parallel batches must not all pass for the price of one.
    pub(crate) fn acquire_rest(&self, records: usize) -> Result<(), Problem> {
        self.try_acquire(records.saturating_sub(1), 0)
    }

    /// Waits until the bucket holds a unit, then takes `records` of them.
    pub(crate) async fn acquire_when_available(&self, records: usize) {
        while let Err(wait) = self.acquire(records, 1) {
            sleep(wait).await;
        }
    }

    /// Returns the most records that a waiting caller takes at once: one second's worth, so that lines flow steadily.
    pub(crate) fn records_at_once(&self) -> usize {
        let RateLimit { per_second, burst } = self.limits.limit;
        usize::try_from(per_second.min(burst)).unwrap_or(usize::MAX)
    }

    /// Sets the headers that tell the caller its remaining units.
    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        let limit = self.limits.limit;
        let (level, refilled) =
            self.limits.with(&self.caller, |bucket| (bucket.level, bucket.time_to(full(limit), limit)));
        let window = limit.burst.div_ceil(limit.per_second);
        let policy = format!("\"default\";q={};w={window}", limit.burst);
        let left = format!("\"default\";r={};t={}", level.max(0) / UNIT, seconds(refilled));
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            headers.insert(name, HeaderValue::try_from(value).expect("digits and names are fit for a header"));
        }
    }

    fn try_acquire(&self, units: usize, at_least: u32) -> Result<(), Problem> {
        self.acquire(units, at_least).map_err(|wait| Problem::rate_limited(seconds(wait).max(1)))
    }

    /// Takes units, or returns the time until there is one.
    fn acquire(&self, units: usize, at_least: u32) -> Result<(), Duration> {
        let limit = self.limits.limit;
        self.limits.with(&self.caller, |bucket| {
            if bucket.try_acquire(units, at_least) { Ok(()) } else { Err(bucket.time_to(UNIT, limit)) }
        })
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
