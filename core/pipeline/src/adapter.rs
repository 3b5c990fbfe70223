//! Support for repository adapters: the cache of optimistic commits, the schedule of roll-ups.

mod summary_cache;
mod speculation_gate;
mod roll_up_schedule;

pub use roll_up_schedule::RollUpSchedule;
pub use speculation_gate::SpeculationGate;
pub use summary_cache::SummaryCache;
