//! What happens to every request, whatever its route: a request id, the headers of every answer, one line in the log, and
//! an answer even to a panic.
//!
//! What depends on the route as well, such as who may call it, is decided where the route is found.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;
use warp::reply::Reply;

use crate::access;
use crate::activity::{Activity, UnderWay};
use crate::headers;
use crate::problem::Problem;

/// The header that ties an answer to the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most headers of a request: as many as hyper takes by HTTP/1.1.
const HEADERS_MAX: usize = 100;

/// Largest head of a request, in bytes: as large as hyper reads by HTTP/1.1.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Longest request id that is taken over from a caller.
const REQUEST_ID_LEN_MAX: usize = 128;

/// Makes request ids that no other process makes: a random part from the start, and a number.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let mut process = uuid::Uuid::new_v4().simple().to_string();
        process.truncate(16);
        Self { process, next: AtomicU64::new(1) }
    }

    /// Takes over the caller's id where it is fit to be echoed and logged, else makes one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(theirs) = headers.get(REQUEST_ID).filter(|id| is_fit(id.as_bytes())) {
            return theirs.clone();
        }
        self.make()
    }

    pub(crate) fn make(&self) -> HeaderValue {
        let id = format!("{}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).expect("hexadecimal digits and a hyphen are fit for a header")
    }
}

fn is_fit(id: &[u8]) -> bool {
    (1..=REQUEST_ID_LEN_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// What a route learns of the request beyond its head and body.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) request_id: HeaderValue,
    pub(crate) connection: Arc<ConnectionContext>,
    /// Whether a browser sends it for a page of another host.
    pub(crate) cross_site: bool,
}

impl RequestContext {
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) peer: SocketAddr,
    /// Whether it is behind TLS.
    pub(crate) secure: bool,
    pub(crate) activity: Arc<Activity>,
    /// Cancelled when a stop was asked for.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when the connection is to be closed: answers without an end of their own end then.
    pub(crate) draining: CancellationToken,
}

/// Stands between a connection and the routes.
#[derive(Debug, Clone)]
pub(crate) struct Front<R> {
    pub(crate) routes: R,
    pub(crate) ids: Arc<RequestIds>,
    pub(crate) connection: Arc<ConnectionContext>,
}

impl<R> Front<R> {
    /// Answers one request. The request is under way until the last byte of the answer is handed to the connection.
    pub(crate) async fn answer<B>(
        mut self,
        mut request: Request<B>,
    ) -> Result<Response<impl Body<Data = bytes::Bytes, Error = warp::Error> + Send + use<R, B>>, Infallible>
    where
        R: Service<Request<B>, Response = warp::reply::Response, Error = Infallible, Future: Send>,
    {
        let under_way = UnderWay::begin(&self.connection.activity);
        let began = Instant::now();
        let request_id = self.ids.of(request.headers());
        let version = request.version();
        let logged = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.uri().path().to_owned()));
        let context = RequestContext {
            request_id: request_id.clone(),
            connection: Arc::clone(&self.connection),
            cross_site: access::is_cross_site(&request),
        };
        request.extensions_mut().insert(context);
        // CONNECT names a host instead of a path, which warp does not expect.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }

        let mut response = if is_head_too_large(&request) {
            Problem::head_too_large().into_response()
        } else {
            match AssertUnwindSafe(self.routes.call(request)).catch_unwind().await {
                Ok(Ok(response)) => response,
                // The panic's own words are on stderr, where its hook wrote them.
                Err(_panic) => {
                    tracing::error!(request_id = ?request_id, "a request panicked");
                    Problem::internal().into_response()
                }
            }
        };

        if let Some((method, path)) = logged {
            let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
            tracing::debug!(request_id = ?request_id, peer = %self.connection.peer, %method, path, status, ms, "answered");
        }
        dress(&mut response, request_id, version, &self.connection);
        Ok(response.map(|body| Sent { body, _under_way: under_way }))
    }
}

/// HTTP/2 packs its heads, so that they are larger than they look, and hyper takes any number of headers by it.
fn is_head_too_large<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    headers.len() > HEADERS_MAX || bytes + address > HEAD_BYTES_MAX
}

/// Sets the headers of every answer.
fn dress(response: &mut warp::reply::Response, request_id: HeaderValue, version: Version, on: &ConnectionContext) {
    // What is left of a body that came too slowly is not waited for. And a client that keeps its connection is told when
    // the service is going to stop, so that it does not send a request just as the connection is closed. HTTP/2 has its own
    // word for that (GOAWAY), which loses none.
    let leaves = response.status() == StatusCode::REQUEST_TIMEOUT || on.stopping.is_cancelled();
    let closes = leaves && version < Version::HTTP_2;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers::dress(headers, on.secure);
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The body of an answer, with the request that it ends.
struct Sent<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
