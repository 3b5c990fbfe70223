//! Serves one connection: HTTP/1.1 or HTTP/2, as the client chooses, in clear text or behind TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::bounds::caller::Caller;
use crate::bounds::connection_limit::{ConnectionPermit, WAITING_TIME_MAX};
use crate::bounds::shared_budget::SharedBudget;
use crate::exchange::context::{ConnectionContext, LONG_LINES_MAX};
use crate::exchange::observe::request_meter::RequestMeter;
use crate::exchange::observe::tracer::RequestTracer;
use crate::serving::connection::activity::{Activity, CutReason, Watched};
use crate::serving::connection::http2_streams::StreamExecutor;
use crate::serving::connection::malformed_request::MalformedRequests;
use crate::serving::connection::middleware::{HEAD_BYTES_MAX, Middleware};
use crate::serving::connection::request_ids::RequestIds;
use crate::serving::connection::transfer::{Progress, Transfers};
use crate::settings::HttpSettings;

/// Largest request head, and how much of a body hyper reads ahead. Multiplied by the number of connections, it bounds
/// their memory.
const READ_BUFFER_BYTES_MAX: usize = HEAD_BYTES_MAX;

/// Largest head of an HTTP/2 request that hyper reads, by HTTP/2's count, which adds 32 bytes to each header. It is
/// above `HEAD_BYTES_MAX`, so that the service itself answers a too large head, with a problem.
const HTTP2_HEAD_BYTES_MAX: u32 = 128 * 1024;

/// Requests in flight at once on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 100;

/// How much of a body an HTTP/2 client may send before it is read: per request and per connection.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;

/// How much of a response waits for an HTTP/2 client's window.
const HTTP2_SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The interval of pings to an HTTP/2 client, and the timeout of each.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// The state that all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared<R> {
    pub(crate) routes: R,
    pub(crate) settings: HttpSettings,
    pub(crate) ids: Arc<RequestIds>,
    pub(crate) tracer: Option<Arc<dyn RequestTracer>>,
    pub(crate) requests: Arc<RequestMeter>,
    /// The memory budget for responses that clients have not read yet.
    response_budget: Arc<SharedBudget>,
    builder: auto::Builder<StreamExecutor>,
    /// Cancelled when the server begins to stop: responses ask their clients to reconnect.
    pub(crate) stop: CancellationToken,
    /// Cancelled when connections must close as soon as their requests are answered.
    pub(crate) drain: CancellationToken,
    /// Cancelled when connections must close at once.
    pub(crate) cut: CancellationToken,
}

impl<R> Shared<R> {
    pub(crate) fn new(
        routes: R,
        requests: Arc<RequestMeter>,
        response_budget: Arc<SharedBudget>,
        settings: HttpSettings,
        stop: CancellationToken,
    ) -> Self {
        let mut builder = auto::Builder::new(StreamExecutor);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HTTP2_HEAD_BYTES_MAX)
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_INTERVAL);
        let (drain, cut) = (CancellationToken::new(), CancellationToken::new());
        let ids = Arc::new(RequestIds::new());
        Self { routes, settings, ids, tracer: None, requests, response_budget, builder, stop, drain, cut }
    }

    pub(crate) fn with_tracer(self, tracer: Option<Arc<dyn RequestTracer>>) -> Self {
        Self { tracer, ..self }
    }

    fn connection_context(&self, peer: Peer, secure: bool) -> Arc<ConnectionContext> {
        let Peer { addr: peer, caller, permit } = peer;
        let (stopping, draining) = (self.stop.clone(), self.drain.child_token());
        let long_lines = Arc::new(Semaphore::new(LONG_LINES_MAX));
        Arc::new(ConnectionContext { peer, caller, permit, secure, long_lines, stopping, draining })
    }

    fn middleware(
        &self,
        connection: Arc<ConnectionContext>,
        activity: &Arc<Activity>,
        transfers: Arc<Transfers>,
    ) -> Middleware<R>
    where
        R: Clone,
    {
        Middleware {
            routes: self.routes.clone(),
            ids: Arc::clone(&self.ids),
            tracer: self.tracer.clone(),
            requests: Arc::clone(&self.requests),
            connection,
            activity: Arc::clone(activity),
            transfers,
            response_budget: Arc::clone(&self.response_budget),
            min_rate: self.settings.response_min_rate(),
        }
    }

    /// The interval at which a connection's deadlines are checked: none is exceeded by more than a quarter of the
    /// shortest.
    fn poll_interval(&self) -> Duration {
        let HttpSettings { head_timeout, idle_timeout, stall_timeout, .. } = self.settings;
        let shortest = head_timeout.min(idle_timeout).min(stall_timeout).min(self.settings.drain_grace());
        (shortest / 4).max(Duration::from_millis(5))
    }
}

/// The other side of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) caller: Caller,
    pub(crate) permit: ConnectionPermit,
}

/// The deadlines of a connection.
struct Deadlines {
    settings: HttpSettings,
    connection: Arc<ConnectionContext>,
    activity: Arc<Activity>,
    transfers: Arc<Transfers>,
    began: Instant,
    drain: CancellationToken,
    /// When the server was first seen to drain.
    drained: Option<Instant>,
}

impl Deadlines {
    fn new<R>(
        shared: &Shared<R>,
        connection: &Arc<ConnectionContext>,
        activity: &Arc<Activity>,
        transfers: &Arc<Transfers>,
    ) -> Self {
        let (connection, activity, transfers) = (Arc::clone(connection), Arc::clone(activity), Arc::clone(transfers));
        let (settings, drain) = (shared.settings, shared.drain.clone());
        Self { settings, connection, activity, transfers, began: Instant::now(), drain, drained: None }
    }

    /// Returns the reason why the connection must be cut now, if any. Ends streams that are too slow; their connection
    /// takes no further streams.
    fn check(&mut self) -> Option<CutReason> {
        let HttpSettings { connection_age_max, connection_grace, .. } = self.settings;
        let age = self.began.elapsed();
        if age >= connection_age_max.saturating_add(connection_grace) {
            return Some(CutReason::TooOld);
        }
        if self.connection.permit.is_waiting() && age >= WAITING_TIME_MAX {
            return Some(CutReason::NoPermit);
        }
        let drain_grace = self.drain.is_cancelled().then(|| self.settings.drain_grace());
        let drained = drain_grace.map(|grace| self.drained.get_or_insert_with(Instant::now).elapsed() >= grace);
        if drained == Some(true) && self.activity.is_idle() {
            return Some(CutReason::Idle);
        }
        match self.transfers.check(drain_grace) {
            Progress::Good => {}
            Progress::StreamEnded => self.connection.draining.cancel(),
            Progress::Stalled => return Some(CutReason::Stalled),
        }
        self.activity.cut_reason(&self.settings)
    }
}

/// Serves a connection until either side closes it or it breaks a limit.
pub(crate) async fn serve<S, R>(socket: S, peer: Peer, secure: bool, shared: Arc<Shared<R>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Service<Request<Incoming>, Response = warp::reply::Response, Error = Infallible, Future: Send>,
    R: Clone + Send + Sync + 'static,
{
    let (addr, connection) = (peer.addr, shared.connection_context(peer, secure));
    let (activity, transfers) = (Arc::new(Activity::new()), Arc::new(Transfers::default()));
    let mut deadlines = Deadlines::new(&shared, &connection, &activity, &transfers);
    let draining = connection.draining.clone();
    let middleware = shared.middleware(connection, &activity, transfers);
    let malformed_requests = MalformedRequests::new(Arc::clone(&shared.ids), secure);
    let io = TokioIo::new(Watched { socket, activity, malformed_requests, flush_blocked: false });
    let service = service_fn(move |request| middleware.clone().answer(request));
    let mut http = pin!(shared.builder.serve_connection(io, service));

    let mut drained = pin!(draining.cancelled());
    let mut cut = pin!(shared.cut.cancelled());
    let mut age = pin!(sleep(shared.settings.connection_age_max));
    let mut checks = interval(shared.poll_interval());
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_shutting_down = false;
    loop {
        tokio::select! {
            biased;
            ended = http.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %addr, %error, "a connection broke");
                }
                return;
            }
            () = &mut cut => return,
            () = &mut drained, if !is_shutting_down => {
                is_shutting_down = true;
                http.as_mut().graceful_shutdown();
            }
            () = &mut age, if !draining.is_cancelled() => draining.cancel(),
            _ = checks.tick() => if let Some(why) = deadlines.check() {
                tracing::debug!(peer = %addr, ?why, "a connection was cut");
                return;
            },
        }
    }
}

#[cfg(test)]
mod tests;
