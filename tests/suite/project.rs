//! The project itself: its documents, rules and packages.

mod documents;
mod guarantees;
mod packages;
mod tidy;
mod imports;
