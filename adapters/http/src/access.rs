//! Who may call, and how much: API keys with their scopes, rate limits and limits on concurrency.

pub(crate) mod keys;
pub(crate) mod key_ring;
pub(crate) mod admission;
pub(crate) mod rate_limit;
pub(crate) mod concurrency_limit;
