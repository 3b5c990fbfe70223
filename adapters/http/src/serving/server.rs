//! The server: accepts connections up to a limit, and closes them gracefully.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::Service;

use crate::app::metrics_page::MetricsPage;
use crate::app::rate_history::RateHistory;
use crate::app::state::{App, HttpApp};
use crate::bounds::caller::Caller;
use crate::bounds::connection_limit::ConnectionLimit;
use crate::exchange::observe::tracer::RequestTracer;
use crate::serving::connection::serve::{self, Peer, Shared};
use crate::serving::connection::tls::TlsIdentity;
use crate::serving::connection::tls_handshake;
use crate::serving::dispatch;
use crate::settings::HttpSettings;

/// The pause after a failed accept, for example when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A server that is bound to its address, but does not serve yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    settings: HttpSettings,
    tls: Option<Arc<TlsIdentity>>,
    tracer: Option<Arc<dyn RequestTracer>>,
    metrics: Option<Arc<dyn MetricsPage>>,
    rates: Option<Arc<RateHistory>>,
    /// The hosts that callers without keys may name, beside `localhost` and addresses; `None` for any.
    hosts: Option<Vec<String>>,
    proxies: Vec<IpNet>,
}

impl HttpServer {
    /// Binds to an address; port 0 takes a free one. From now on clients may connect, and wait to be served.
    ///
    /// # Errors
    /// The address is not available, e.g. because another process has it.
    pub async fn bind(address: impl ToSocketAddrs, settings: HttpSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let (tls, tracer, metrics, rates) = (None, None, None, None);
        let (hosts, proxies) = (Some(Vec::new()), Vec::new());
        Ok(Self { listener, local_addr, settings, tls, tracer, metrics, rates, hosts, proxies })
    }

    /// Serves HTTPS only, and reloads the certificate when its files change.
    #[must_use]
    pub fn with_tls(self, identity: impl Into<Arc<TlsIdentity>>) -> Self {
        Self { tls: Some(identity.into()), ..self }
    }

    /// Lets callers without keys name these hosts, too, in upper or lower case; `*` stands for any. A server on
    /// loopback without TLS refuses all other hosts except `localhost` and addresses: a foreign page may have its own
    /// name resolved to this machine.
    #[must_use]
    pub fn with_hosts(self, hosts: &[&str]) -> Self {
        let any = hosts.contains(&"*");
        let hosts = hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        Self { hosts: (!any).then_some(hosts), ..self }
    }

    /// Makes a span of each request with this tracer.
    #[must_use]
    pub fn with_tracer(self, tracer: Arc<dyn RequestTracer>) -> Self {
        Self { tracer: Some(tracer), ..self }
    }

    /// Serves this page at `/metrics`; without it `/metrics` is a `404`.
    #[must_use]
    pub fn with_metrics(self, page: Arc<dyn MetricsPage>) -> Self {
        Self { metrics: Some(page), ..self }
    }

    /// Samples these rates, and serves them at `/v1/rates`; without them `/v1/rates` is a `404`. The dashboard charts
    /// them.
    #[must_use]
    pub fn with_rates(self, rates: RateHistory) -> Self {
        Self { rates: Some(Arc::new(rates)), ..self }
    }

    /// Treats these addresses as proxies with many callers behind them: they may open every connection, and use up all
    /// shared limits.
    #[must_use]
    pub fn with_proxies(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }

    /// Returns the address that the server is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the URL of the server: `http://` or `https://`, and the address.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Answers requests until `stop` is cancelled, then finishes those in flight. Returns when every connection is
    /// closed, at the latest after `lame_duck` and `drain_timeout` of the settings.
    ///
    /// Dropping the future cuts all connections.
    pub async fn serve(self, app: HttpApp, stop: CancellationToken) {
        let _keys_followed = app.keys.clone().map(|keys| AbortOnDropHandle::new(tokio::spawn(keys.follow())));
        let _tls_followed = self.tls.clone().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.follow())));
        let _rates_followed =
            self.rates.clone().map(|rates| AbortOnDropHandle::new(tokio::spawn(async move { rates.follow().await })));
        // The check of hosts is for loopback alone: beyond it, an attacker can reach the service without a browser.
        // With TLS, the certificate tells a browser which server it reaches.
        let hosts = self.hosts.filter(|_| self.local_addr.ip().is_loopback() && self.tls.is_none());
        let app = App::new(app, self.settings, stop.clone()).with_metrics(self.metrics).with_rates(self.rates);
        let app = Arc::new(app.with_hosts(hosts));
        let (requests, budget) = (Arc::clone(&app.requests), Arc::clone(&app.response_budget));
        let (connections, limited) = (app.open.clone(), Arc::clone(&app));
        let shared = Arc::new(
            Shared::new(dispatch::service(app), requests, budget, self.settings, stop.clone()).with_tracer(self.tracer),
        );
        let _cut = shared.cut.clone().drop_guard();
        let lame_duck = self.settings.lame_duck;
        let mut over = std::pin::pin!(async move {
            stop.cancelled().await;
            sleep(lame_duck).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                (socket, peer) = accept(&self.listener, &limited.connections, &self.proxies) => {
                    connections.spawn(serve_connection(socket, peer, self.tls.clone(), Arc::clone(&shared)));
                }
            }
        }

        drop(self.listener);
        shared.drain.cancel();
        connections.close();
        if timeout(self.settings.drain_timeout, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "connections are cut: their requests did not finish in time");
            shared.cut.cancel();
            connections.wait().await;
        }
    }
}

/// Serves a connection, by TLS if there is a certificate. A connection counts before its handshake, so that failed
/// handshakes are bounded, too.
async fn serve_connection<R>(socket: TcpStream, peer: Peer, tls: Option<Arc<TlsIdentity>>, shared: Arc<Shared<R>>)
where
    R: Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible, Future: Send>,
    R: Clone + Send + Sync + 'static,
{
    match tls {
        None => serve::serve(socket, peer, false, shared).await,
        Some(tls) => {
            if let Some(socket) = tls_handshake::secure(socket, peer.addr, &tls, &shared).await {
                serve::serve(socket, peer, true, shared).await;
            }
        }
    }
}

/// Waits for a connection within the limits. Others are closed: their address has its share, or the server is full.
async fn accept(listener: &TcpListener, limit: &ConnectionLimit, proxies: &[IpNet]) -> (TcpStream, Peer) {
    loop {
        match listener.accept().await {
            Ok((socket, addr)) => {
                let caller = Caller::at(addr.ip(), proxies);
                let Some(permit) = limit.admit(&caller) else {
                    tracing::debug!(peer = %addr, "a connection was closed for want of room");
                    continue;
                };
                // Responses are written whole: Nagle's algorithm would only delay them.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(peer = %addr, %error, "a connection ended before it was served");
                    continue;
                }
                return (socket, Peer { addr, caller, permit });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "accepting connections pauses for a moment");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}
