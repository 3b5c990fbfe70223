//! All that writes: commits, the outbox, the managed rules, the roll-ups.

pub(crate) mod commit;
pub(crate) mod locked;
pub(crate) mod optimistic;
pub(crate) mod speculation;
pub(crate) mod commit_unknown;
pub(crate) mod known;
pub(crate) mod plan;
pub(crate) mod outbox;
pub(crate) mod rules;
pub(crate) mod roll_ups;
pub(crate) mod ping_write;
