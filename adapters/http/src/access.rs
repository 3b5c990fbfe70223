//! Who may call, and how much: admission by API keys and hosts, rate limits and limits on concurrency.

pub(crate) mod admission;
pub(crate) mod rate_limit;
pub(crate) mod concurrency_limit;
pub(crate) mod read_limit;
