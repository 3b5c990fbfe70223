//! For adapters: what a repository caches, and when it rolls up.

mod summary_cache;
mod roll_up_schedule;

pub use roll_up_schedule::RollUpSchedule;
pub use summary_cache::{SpeculationGate, SummaryCache};
