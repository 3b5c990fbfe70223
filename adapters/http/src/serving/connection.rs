//! One connection from its first byte to its last: TLS, HTTP, deadlines, and the work common to all requests.

pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod pem;
pub(crate) mod tls_handshake;
pub(crate) mod activity;
pub(crate) mod transfer;
pub(crate) mod http2_streams;
pub(crate) mod malformed_request;
pub(crate) mod middleware;
pub(crate) mod request_ids;
