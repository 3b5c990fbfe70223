//! Access control: admission by API keys and hosts, rate limits and concurrency limits.

pub(crate) mod admission;
pub(crate) mod rate_limit;
pub(crate) mod concurrency_limit;
pub(crate) mod read_limit;
