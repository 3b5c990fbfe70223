//! The work common to all requests: request id, common headers, access log, metrics, trace span, and a response after a
//! panic. Work that depends on the route, such as admission, is done where the route is found.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, Version};
use tower::Service;
use warp::reply::Reply;

use crate::access::admission;
use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};
use crate::bounds::stall_timer::MinRate;
use crate::exchange::context::{ConnectionContext, RequestContext};
use crate::exchange::observe::access_log::Line;
use crate::exchange::observe::request_meter::{self, RequestMeter, RouteIndex};
use crate::exchange::observe::tracer::{RequestHead, RequestSpan, RequestTracer};
use crate::exchange::request::{host, traceparent};
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::exchange::response::security_headers;
use crate::exchange::response::stream::ReportsWrites;
use crate::serving::connection::activity::{Activity, InFlight};
use crate::serving::connection::http2_streams;
use crate::serving::connection::request_ids::{REQUEST_ID, RequestIds};
use crate::serving::connection::transfer::{InPieces, Piece, Transfer, Transfers};

/// Most headers of a request: as many as hyper takes by HTTP/1.1.
const HEADERS_MAX: usize = 100;

/// Largest head of a request, in bytes: as large as hyper reads by HTTP/1.1.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The header of the trace that a request belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The bytes that an HTTP/2 stream reserves from its beginning on, for its task, its buffers, and a short body.
const STREAM_RESERVATION_BYTES: usize = 8 * 1024;

/// The bytes that a body of unknown length reserves, for the pieces that wait for the client.
const UNSIZED_BODY_RESERVATION_BYTES: usize = 32 * 1024;

/// Bodies up to this length reserve no memory of their own.
const SHORT_BODY_BYTES: usize = 4 * 1024;

/// Stands between a connection and the service.
#[derive(Debug, Clone)]
pub(crate) struct Middleware<R> {
    pub(crate) routes: R,
    pub(crate) ids: Arc<RequestIds>,
    pub(crate) tracer: Option<Arc<dyn RequestTracer>>,
    pub(crate) requests: Arc<RequestMeter>,
    pub(crate) connection: Arc<ConnectionContext>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) transfers: Arc<Transfers>,
    /// The memory budget for responses that clients have not read yet.
    pub(crate) response_budget: Arc<SharedBudget>,
    pub(crate) min_rate: MinRate,
}

/// The refusal of an HTTP/2 stream before any work. The client may repeat the request safely (RFC 9113, section 8.7).
fn refused_stream() -> h2::Error {
    h2::Reason::REFUSED_STREAM.into()
}

impl<R> Middleware<R> {
    /// Answers one request. The request is in flight until the connection has taken the last byte of the response.
    pub(crate) async fn answer<B>(
        mut self,
        mut request: Request<B>,
    ) -> Result<Response<impl Body<Data = Piece, Error = warp::Error> + Send + use<R, B>>, h2::Error>
    where
        R: Service<Request<B>, Response = warp::reply::Response, Error = Infallible, Future: Send>,
    {
        let in_flight = InFlight::begin(&self.activity);
        let end = http2_streams::current_end();
        let stream_reservation = end.as_ref().map(|_| self.reserve_for_stream()).transpose()?;
        let line = Line::begin(&request);
        let counted = self.requests.begin(request.method());
        let request_id = self.ids.of(request.headers());
        let (version, is_safe) = (request.version(), request.method().is_safe());
        let (mut span, trace_id) = self.trace(&mut request, &request_id);
        let context = self.context(&request, request_id, trace_id);
        request.extensions_mut().insert(context.clone());

        let mut response = self.dispatch(request, &context).await;
        let route = response.extensions().get::<RouteIndex>().copied();
        let is_sized = response.body().size_hint().exact().is_some();
        let reservation = self.reserve_for_body(&response, is_safe).unwrap_or_else(|problem| {
            response = problem.into_response();
            None
        });
        counted.answered(route, response.status());
        let status = response.status().as_u16();
        if let Some(line) = line {
            line.end(&context, status);
        }
        if let Some(span) = &mut span {
            span.answered(status);
        }
        set_headers(&mut response, context.request_id.clone(), version, &self.connection);
        if self.connection.permit.is_waiting() {
            self.connection.draining.cancel();
        }
        let (sized, not_sized) = if is_sized { (reservation, None) } else { (None, reservation) };
        let transfer = Transfer::new(self.min_rate, sized, [not_sized, stream_reservation], end, in_flight);
        self.transfers.add(&transfer);
        Ok(response.map(|body| TrackedBody { body: InPieces::new(body, transfer), _span: span, _counted: counted }))
    }

    /// Returns the context of a request, as it is known before the route.
    fn context<B>(&self, request: &Request<B>, request_id: HeaderValue, trace_id: Option<Arc<str>>) -> RequestContext {
        RequestContext {
            request_id,
            trace_id,
            connection: Arc::clone(&self.connection),
            caller: self.connection.caller.clone(),
            grant: None,
            foreign_host: host::of(request).and_then(host::foreign_name),
            cross_site: admission::cross_site(request),
        }
    }

    /// Calls the routes, unless the head is malformed, and answers for a route that panics.
    async fn dispatch<B>(&mut self, mut request: Request<B>, context: &RequestContext) -> warp::reply::Response
    where
        R: Service<Request<B>, Response = warp::reply::Response, Error = Infallible, Future: Send>,
    {
        // CONNECT names a host instead of a path, which warp does not expect.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        if is_head_too_large(&request) {
            return Problem::head_too_large().into_response();
        }
        if host::is_ambiguous(&request) {
            return Problem::parameter("Host", "must be given once").into_response();
        }
        match AssertUnwindSafe(self.routes.call(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            // The panic hook has written the panic's message to stderr.
            Err(_panic) => {
                let (request_id, trace_id) = (context.request_id(), context.trace_id());
                tracing::error!(request_id, trace_id, "a request panicked");
                Problem::internal().into_response()
            }
        }
    }

    /// Reserves memory for an HTTP/2 stream, or refuses it.
    fn reserve_for_stream(&self) -> Result<Reservation, h2::Error> {
        self.response_budget.try_reserve(&self.connection.caller, STREAM_RESERVATION_BYTES).ok_or_else(refused_stream)
    }

    /// Reserves memory for the body of a response until it is sent. A response that reports committed writes is never
    /// refused.
    fn reserve_for_body(
        &self,
        response: &warp::reply::Response,
        is_safe: bool,
    ) -> Result<Option<Reservation>, Problem> {
        let length = response.body().size_hint().exact();
        let bytes =
            length.map_or(UNSIZED_BODY_RESERVATION_BYTES, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if bytes <= SHORT_BODY_BYTES {
            return Ok(None);
        }
        let caller = response.extensions().get::<Caller>().unwrap_or(&self.connection.caller);
        let mut reservation = self.response_budget.empty_reservation(caller);
        if !reservation.try_grow(bytes) {
            let reports_writes = response.extensions().get::<ReportsWrites>().is_some();
            if is_safe || length.is_none() && !reports_writes {
                let detail =
                    "More answers wait to be read than there is room for; read them, or repeat the request later.";
                return Err(Problem::new(ProblemCode::Overloaded, detail));
            }
            reservation.force_grow(bytes);
        }
        Ok(Some(reservation))
    }

    /// Begins the span of a request, if it is traced, and returns the trace id. A request without a trace context gets
    /// that of its span, and passes it on to its records and their messages.
    fn trace<B>(
        &self,
        request: &mut Request<B>,
        request_id: &HeaderValue,
    ) -> (Option<Box<dyn RequestSpan>>, Option<Arc<str>>) {
        let theirs = traceparent::of(request.headers());
        let span = self.tracer.as_ref().and_then(|tracer| {
            tracer.begin(&RequestHead {
                method: request.method(),
                path: request.uri().path(),
                traceparent: theirs.as_deref(),
                request_id: request_id.to_str().unwrap_or_default(),
            })
        });
        let ours = span.as_ref().filter(|_| theirs.is_none()).and_then(|span| span.traceparent());
        let trace_id = theirs.as_deref().or(ours).and_then(traceparent::trace_id).map(Arc::from);
        if let Some(Ok(ours)) = ours.map(HeaderValue::from_str) {
            request.headers_mut().insert(TRACEPARENT, ours);
        }
        (span, trace_id)
    }
}

/// hyper has these limits for HTTP/1 only: in HTTP/2 it takes any number of headers, and a compressed head unpacks to a
/// larger one.
fn is_head_too_large<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    headers.len() > HEADERS_MAX || bytes + address > HEAD_BYTES_MAX
}

/// Sets the headers of every response.
fn set_headers(
    response: &mut warp::reply::Response,
    request_id: HeaderValue,
    version: Version,
    on: &ConnectionContext,
) {
    // After a body that came too slowly, the connection can't be reused: the rest is not read. At a stop, a client with
    // a kept-alive connection must not send a request just as the connection closes. HTTP/2 has GOAWAY for that.
    let leaves =
        response.status() == StatusCode::REQUEST_TIMEOUT || on.stopping.is_cancelled() || on.permit.is_waiting();
    let closes = leaves && version < Version::HTTP_2;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    security_headers::set(headers, on.secure);
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The body of a response. Its end is the end of the request for metrics and trace.
struct TrackedBody<B> {
    body: InPieces<B>,
    _span: Option<Box<dyn RequestSpan>>,
    _counted: request_meter::Request,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Piece;
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
