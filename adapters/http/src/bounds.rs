//! What callers share, and at what pace they must take it: the rules, without any words for those who exceed them.

pub(crate) mod caller;
pub(crate) mod shared_room;
pub(crate) mod body_room;
pub(crate) mod connection_limit;
pub(crate) mod pace;
