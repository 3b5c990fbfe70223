//! The context of a request: its id, its trace, its connection, its caller, and whether a page of another site sent it.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::HeaderValue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::bounds::caller::Caller;
use crate::bounds::connection_limit::ConnectionPermit;
use crate::keys::key_ring::Grant;

/// The context of one request. The middleware makes it, and endpoints read it.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) request_id: HeaderValue,
    /// The id of the request's trace, for the log.
    pub(crate) trace_id: Option<Arc<str>>,
    pub(crate) connection: Arc<ConnectionContext>,
    /// The holder of the key; the address until the key is recognised, or if there is none.
    pub(crate) caller: Caller,
    /// The grant of the caller's key; `None` before the caller is admitted, and if the call needs no key.
    pub(crate) grant: Option<Grant>,
    /// The name of the host that the request is sent to; `None` for `localhost` and addresses, which no foreign DNS
    /// resolves.
    pub(crate) foreign_host: Option<String>,
    /// Set if a browser sends the request for a page of another host.
    pub(crate) cross_site: Option<CrossSite>,
}

impl RequestContext {
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }
}

/// A request that a browser sends for a page of another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrossSite {
    /// The page's origin, from `Origin`.
    pub(crate) origin: String,
    /// The host that the request names; empty where it names none.
    pub(crate) host: String,
}

/// Most long partial lines that one connection buffers at once, each of up to 64 KiB.
pub(crate) const LONG_LINES_MAX: usize = 16;

/// The context that all requests of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) peer: SocketAddr,
    /// The caller of its address.
    pub(crate) caller: Caller,
    /// Its permit under the limit on connections.
    pub(crate) permit: ConnectionPermit,
    /// Whether the connection is behind TLS.
    pub(crate) secure: bool,
    /// Permits to buffer a long partial line of NDJSON: by HTTP/2 one connection carries many uploads.
    pub(crate) long_lines: Arc<Semaphore>,
    /// Cancelled when the server begins to stop.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when the connection must close. Endless responses end then.
    pub(crate) draining: CancellationToken,
}
