//! The pace of a transfer: how much longer the client may keep the server waiting.
//!
//! While the server waits for the client to send or to read, time uses up the client's credit; each byte that moves
//! adds credit. A silent client loses its credit within the grace, a client below the least rate a little later, and
//! any other client never.

use std::time::Duration;

use tokio::time::Instant;

/// The terms of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PaceLimit {
    /// The greatest credit: the longest time without a byte.
    pub(crate) grace: Duration,
    /// The least rate; 0 where any byte renews the credit.
    pub(crate) bytes_per_second_min: u64,
}

/// The credit of one transfer.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: PaceLimit,
    credit: Duration,
    /// Whether the server waits for the client.
    owes: bool,
    /// The time at which `credit` was computed.
    at: Instant,
    /// Whether the credit was used up. Bytes that move afterwards come too late.
    spent: bool,
}

impl Pace {
    /// Begins with the whole credit, while the server does not wait for the client.
    pub(crate) fn new(limit: PaceLimit) -> Self {
        Self { limit, credit: limit.grace, owes: false, at: Instant::now(), spent: false }
    }

    /// The server now waits for the client: time uses up its credit.
    pub(crate) fn owes(&mut self) {
        self.advance();
        self.owes = true;
    }

    /// The server no longer waits for the client: time costs it nothing.
    pub(crate) fn rests(&mut self) {
        self.advance();
        self.owes = false;
    }

    /// The client has sent or read everything that it could, and gets its whole credit back.
    pub(crate) fn caught_up(&mut self) {
        self.rests();
        (self.credit, self.spent) = (self.limit.grace, false);
    }

    /// Bytes moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.advance();
        let gained = match self.limit.bytes_per_second_min {
            0 => self.limit.grace,
            rate => Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / rate),
        };
        self.credit = self.credit.saturating_add(gained).min(self.limit.grace);
    }

    /// Lowers the grace for the rest of the transfer.
    pub(crate) fn hurry(&mut self, grace: Duration) {
        self.advance();
        self.limit.grace = self.limit.grace.min(grace);
        self.credit = self.credit.min(grace);
    }

    /// Says whether the credit is used up.
    pub(crate) fn is_over(&mut self) -> bool {
        self.advance();
        self.owes && self.spent
    }

    /// Returns the time at which the credit will be used up if nothing moves.
    pub(crate) fn deadline(&mut self) -> Instant {
        self.advance();
        self.at + self.credit
    }

    fn advance(&mut self) {
        let now = Instant::now();
        if self.owes {
            self.credit = self.credit.saturating_sub(now.saturating_duration_since(self.at));
            self.spent |= self.credit.is_zero();
        }
        self.at = now;
    }
}

#[cfg(test)]
mod tests;
