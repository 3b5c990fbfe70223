//! Drills: one thing goes wrong under a steady load, and what the senders see of it is written down.
//!
//! Each drill starts servers and instances of its own, returns what it saw as a text, and panics where a promise is not
//! kept. The suite runs them for a few seconds; the program `drills` for as long as an operator likes.

mod load;
mod memory_usage;
mod storage_outage;
mod redis_outage;
mod intruders;
mod bad_clients;
mod failover;
mod restored;
mod lease_ahead;
mod log_lost;
mod few_handles;
mod little_memory;

pub use bad_clients::{bad_clients, short_deadlines};
pub use failover::{Standby, failover};
pub use few_handles::few_handles;
pub use intruders::{Intruders, intruders};
pub use lease_ahead::lease_ahead;
pub use little_memory::little_memory;
pub use load::{Load, Tally};
pub use log_lost::{LogLost, log_lost};
pub use memory_usage::Memory;
pub use redis_outage::redis_outage;
pub use restored::restored;
pub use storage_outage::storage_outage;
