//! The timer that enforces the minimum data rate of a transfer.
//!
//! While the server waits for the client to send or to read, time uses up the client's credit; each byte that moves
//! adds credit. A silent client loses its credit within the grace, a client below the minimum rate a little later, and
//! any other client never.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum data rate of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinRate {
    /// The greatest credit: the longest time without a byte.
    pub(crate) grace: Duration,
    /// The minimum rate; 0 where any byte renews the credit.
    pub(crate) bytes_per_second_min: u64,
}

/// The stall timer of one transfer.
#[derive(Debug)]
pub(crate) struct StallTimer {
    limit: MinRate,
    credit: Duration,
    /// Whether the server waits for the client.
    running: bool,
    /// The time at which `credit` was computed.
    at: Instant,
    /// Whether the credit was used up. Bytes that move afterwards come too late.
    exhausted: bool,
}

impl StallTimer {
    /// Begins with the whole credit, paused.
    pub(crate) fn new(limit: MinRate) -> Self {
        Self { limit, credit: limit.grace, running: false, at: Instant::now(), exhausted: false }
    }

    /// Runs the timer: the server now waits for the client.
    pub(crate) fn resume(&mut self) {
        self.advance();
        self.running = true;
    }

    /// Pauses the timer: the server no longer waits for the client.
    pub(crate) fn pause(&mut self) {
        self.advance();
        self.running = false;
    }

    /// Pauses the timer and restores the whole credit: the client has sent or read everything that it could.
    pub(crate) fn reset(&mut self) {
        self.pause();
        (self.credit, self.exhausted) = (self.limit.grace, false);
    }

    /// Adds the credit for bytes that moved.
    pub(crate) fn add_progress(&mut self, bytes: usize) {
        self.advance();
        let gained = match self.limit.bytes_per_second_min {
            0 => self.limit.grace,
            rate => Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / rate),
        };
        self.credit = self.credit.saturating_add(gained).min(self.limit.grace);
    }

    /// Lowers the grace for the rest of the transfer.
    pub(crate) fn shorten_grace(&mut self, grace: Duration) {
        self.advance();
        self.limit.grace = self.limit.grace.min(grace);
        self.credit = self.credit.min(grace);
    }

    /// Says whether the credit was used up while the server waits for the client.
    pub(crate) fn is_expired(&mut self) -> bool {
        self.advance();
        self.running && self.exhausted
    }

    /// Returns the time at which the credit will be used up if nothing moves.
    pub(crate) fn deadline(&mut self) -> Instant {
        self.advance();
        self.at + self.credit
    }

    fn advance(&mut self) {
        let now = Instant::now();
        if self.running {
            self.credit = self.credit.saturating_sub(now.saturating_duration_since(self.at));
            self.exhausted |= self.credit.is_zero();
        }
        self.at = now;
    }
}

#[cfg(test)]
mod tests;
