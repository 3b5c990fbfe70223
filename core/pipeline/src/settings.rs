//! The settings of a pipeline.

use std::time::Duration;

use crate::dependency::retry::RetryPolicy;

/// How the pipeline batches, waits and bounds. The defaults serve a host that changes none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineSettings {
    /// How many batches are under way at once. With two, a store with one writer may prepare the next one meanwhile.
    /// Default 1.
    pub writers: usize,
    /// How many records are committed together at most. Default 1,000: from there on batches gain little.
    pub batch_records_max: usize,
    /// How many records must wait for a further batch to be begun while others are being committed; without them it
    /// begins 50 ms after the last one. Default 250: below, one batch of all that waits costs less than two of half.
    pub join_records_min: usize,
    /// How many records wait at each ingress at most. Default 20,000.
    pub intake_records_max: usize,
    /// How many bytes of records wait at each ingress at most. Default 32 MiB.
    pub intake_bytes_max: usize,
    /// For how long a commit is tried again before its records are answered with [`SubmitError::Unavailable`]. Default
    /// 5 s.
    pub commit_retry_timeout: Duration,
    /// The waits between these tries, those to publish and those to ask a dependency that is away.
    pub retry: RetryPolicy,
    /// For how long publishing, or a queue, fails before its circuit breaker opens; storage's opens after
    /// `commit_retry_timeout`. Default 5 s.
    pub open_after: Duration,
    /// How long a commit may take before storage is pinged. Default 2 s.
    pub ping_after: Duration,
    /// How long any dependency may take to answer a ping before it counts as unavailable. Default 2 s.
    pub ping_timeout: Duration,
    /// For how long this instance's owed messages are its own after it was last heard of. Default 10 s.
    pub lease: Duration,
    /// How long published batches wait to be settled together with the next commit. Default 200 ms.
    pub mark_published_delay: Duration,
    /// How many committed batches wait in memory to be published; those beyond are read again from the store. Default
    /// 64.
    pub relay_batches_max: usize,
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
        }
    }
}
