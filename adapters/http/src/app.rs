//! The state that the endpoints share, and the parts of it that a host provides.

pub(crate) mod state;
