//! All that writes: commits, the outbox, the managed rules, the roll-ups.

pub(crate) mod writer;
pub(crate) mod commit_cache;
pub(crate) mod commit;
pub(crate) mod plan;
pub(crate) mod outbox;
pub(crate) mod rules;
pub(crate) mod roll_ups;
pub(crate) mod daily_totals;
pub(crate) mod ping_write;
