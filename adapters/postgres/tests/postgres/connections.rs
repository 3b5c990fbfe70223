//! Connections: failures, poolers, passwords, and pools that share them.

mod failures;
mod clear_text;
mod poolers;
mod shares;
