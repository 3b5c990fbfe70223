//! Faults while the service runs: kills, stops, servers that are away, logs that are full.

mod kills;
mod stops;
mod outages;
mod away;
mod readiness;
mod rolling;
mod log;
mod chaos;
mod drills;
