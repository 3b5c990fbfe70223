//! Faults while the service runs: kills, stops, servers that are unavailable, logs that are full.

mod kills;
mod stops;
mod outages;
mod unresponsive;
mod readiness;
mod rolling;
mod log;
mod chaos;
mod drills;
