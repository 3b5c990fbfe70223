//! What the benchmark and the load tests share: records that are built before the clock runs, cheap senders and
//! listeners that share the machine with what they measure, and what the kernel says of the processes.

pub mod build;
pub mod supply;
pub mod connection;
pub mod load;
pub mod arrivals;
pub mod measurements;
pub mod latency_subscriber;
pub mod processes;
pub mod machine;
pub mod world;
pub mod deployment;
