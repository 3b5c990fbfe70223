//! How often and how late a request is sent again.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

/// Most attempts to send a request.
const ATTEMPTS: u32 = 6;
/// The first wait, unless the service says how long.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// Longest wait before a request is sent again.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The attempts that are left for a request.
#[derive(Debug)]
pub(crate) struct Retries {
    left: u32,
    wait: Duration,
}

impl Retries {
    /// Begins with the first attempt.
    pub(crate) fn new() -> Self {
        Self { left: ATTEMPTS - 1, wait: WAIT_MIN }
    }

    /// Takes an attempt. Returns the wait before it, which is what the service has asked for, or else doubles; `None` if
    /// no attempt is left.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.wait;
        self.wait *= 2;
        Some(asked.unwrap_or(wait).min(WAIT_MAX))
    }
}

/// Returns how long a service that can't answer now asks to wait.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
