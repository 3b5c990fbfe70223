//! Counts and reports abandoned outbox entries that only an instance with another emitter may publish.

use std::time::Duration;

use tallyhouse_core::ports::{ClaimScope, Outbox, PortError};

use crate::publish::handoff::HandoffState;

/// The most entries that are counted.
const ENTRIES_MAX: usize = 1_000;
/// The time between two log lines about them.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// When such entries were counted, and when they were last reported, by the clock.
#[derive(Debug, Default)]
pub(crate) struct ForeignEntries {
    checked_at: Option<Duration>,
    logged_at: Option<Duration>,
}

impl ForeignEntries {
    /// Returns whether to count them: once in each lease.
    pub(crate) fn is_due(&self, now: Duration, lease: Duration) -> bool {
        has_passed(self.checked_at, lease, now)
    }

    /// Counts such entries, and reports how many there are.
    pub(crate) async fn refresh(
        &mut self,
        outbox: &dyn Outbox,
        state: &HandoffState,
        now: Duration,
    ) -> Result<(), PortError> {
        let batches = outbox.claim(&state.owner, ClaimScope::Foreign, ENTRIES_MAX).await?.len();
        self.checked_at = Some(now);
        state.meter.set_foreign(batches);
        if batches == 0 {
            self.logged_at = None;
        } else if has_passed(self.logged_at, REMIND_EVERY, now) {
            self.logged_at = Some(now);
            tracing::error!(
                batches,
                ours = state.owner.emitter(),
                "messages stay unpublished: they belong to an instance with other settings of redis and messages"
            );
        }
        Ok(())
    }
}

fn has_passed(last: Option<Duration>, wait: Duration, now: Duration) -> bool {
    last.is_none_or(|last| now.saturating_sub(last) >= wait)
}
