//! The clock port: what time it is, and how to wait.

use std::time::Duration;

use async_trait::async_trait;

use crate::record::time::Timestamp;

/// Tells the time, and waits.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment. MUST never go back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
