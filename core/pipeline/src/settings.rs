//! The settings of a pipeline.

use std::time::Duration;

use crate::dependency::retry::RetryPolicy;

/// The limits and waits of a pipeline. The defaults suit a host that changes none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineSettings {
    /// The number of batches in flight at once. With two, a store that commits one batch after the other can prepare the
    /// next one meanwhile. Default 1.
    pub writers: usize,
    /// The most records in a batch. Default 1,000: larger batches gain little.
    pub batch_records_max: usize,
    /// The number of waiting records from which a further batch begins while another is being committed. With fewer, it
    /// begins 50 ms after the last batch began. Default 250: below that, one whole batch costs less than two halves.
    pub join_records_min: usize,
    /// The most records that wait at each ingress. Default 20,000.
    pub intake_records_max: usize,
    /// The most bytes of records that wait at each ingress. Default 32 MiB.
    pub intake_bytes_max: usize,
    /// How long a failing commit is retried before its submissions fail with
    /// [`SubmitError::Unavailable`](crate::SubmitError::Unavailable). Default 5 s.
    pub commit_retry_timeout: Duration,
    /// The waits between retries of a commit, attempts to publish, and pings of an unavailable dependency.
    pub retry: RetryPolicy,
    /// How long publishing, or a queue, has to fail before its circuit breaker opens; the breaker of storage opens after
    /// `commit_retry_timeout`. Default 5 s.
    pub open_after: Duration,
    /// How long a commit may take before storage is pinged. Default 2 s.
    pub ping_after: Duration,
    /// How long a dependency may take to answer a ping before it counts as unavailable. Default 2 s.
    pub ping_timeout: Duration,
    /// How long this instance's outbox entries stay its own without a renewal of its lease. Default 10 s.
    pub lease: Duration,
    /// How long published entries wait to be removed by the next commit, which costs no extra transaction. Default 200 ms.
    pub mark_published_delay: Duration,
    /// The most committed batches that wait in memory to be published; further ones are read again from the store. Default
    /// 64.
    pub relay_batches_max: usize,
    /// The most bytes of records and summaries in these batches; one batch may be larger. Default 32 MiB.
    pub relay_bytes_max: usize,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            writers: 1,
            batch_records_max: 1_000,
            join_records_min: 250,
            intake_records_max: 20_000,
            intake_bytes_max: 32 * 1024 * 1024,
            commit_retry_timeout: Duration::from_secs(5),
            retry: RetryPolicy::default(),
            open_after: Duration::from_secs(5),
            ping_after: Duration::from_secs(2),
            ping_timeout: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            mark_published_delay: Duration::from_millis(200),
            relay_batches_max: 64,
            relay_bytes_max: 32 * 1024 * 1024,
        }
    }
}
