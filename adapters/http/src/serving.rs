//! From the socket to the handler: the accept loop, connections, and dispatch.

pub(crate) mod server;
pub(crate) mod connection;
pub(crate) mod dispatch;
