//! What the program reports about itself: its log, its metrics and its traces.

pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod traces;
