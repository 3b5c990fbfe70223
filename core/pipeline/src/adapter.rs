//! For adapters: what a repository caches, and when it rolls up.

mod summary_cache;
mod speculation_gate;
mod roll_up_schedule;

pub use roll_up_schedule::RollUpSchedule;
pub use speculation_gate::SpeculationGate;
pub use summary_cache::SummaryCache;
