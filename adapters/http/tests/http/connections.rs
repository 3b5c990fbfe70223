//! Connections: their limits, their ends, TLS, HTTP/2, and clients that stall.

pub(crate) mod draining;
pub(crate) mod http2;
pub(crate) mod overload;
pub(crate) mod rate_limits;
pub(crate) mod shares;
pub(crate) mod slow;
pub(crate) mod tls;
