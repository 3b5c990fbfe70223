//! Test support: answers whole requests without a socket, and gives the fuzz targets access to the parsers. Compiled
//! with the feature `testing` only.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Request, StatusCode};
use tallyhouse_pipeline::{DestinationId, RecordId, Reference, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::state::{App, HttpApp};
use crate::bounds::caller::Caller;
use crate::exchange::context::{ConnectionContext, LONG_LINES_MAX};
use crate::exchange::request::lines::{Line, Lines};
use crate::exchange::request::page_token::PageToken;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::request::traceparent;
use crate::keys::Keys;
use crate::serving::connection::activity::Activity;
use crate::serving::connection::middleware::Middleware;
use crate::serving::connection::request_ids::RequestIds;
use crate::serving::dispatch;
use crate::settings::HttpSettings;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty for an event stream, which has no end.
    pub body: Bytes,
}

/// Answers requests as a connection does.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// Makes a service of these parts.
    #[must_use]
    pub fn new(app: HttpApp, settings: HttpSettings) -> Self {
        Self { app: Arc::new(App::new(app, settings, CancellationToken::new())) }
    }

    /// Answers a request whose body comes in these pieces; `None` if the response breaks off.
    pub async fn answer(&self, request: Request<Vec<Bytes>>) -> Option<Response> {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let caller = Caller::at(peer.ip(), &[]);
        let connection = Arc::new(ConnectionContext {
            peer,
            permit: self.app.connections.admit(&caller)?,
            caller,
            secure: false,
            long_lines: Arc::new(Semaphore::new(LONG_LINES_MAX)),
            stopping: CancellationToken::new(),
            draining: CancellationToken::new(),
        });
        let middleware = Middleware {
            routes: dispatch::service(Arc::clone(&self.app)),
            ids: Arc::new(RequestIds::new()),
            tracer: None,
            requests: Arc::clone(&self.app.requests),
            connection,
            activity: Arc::new(Activity::new()),
            transfers: Arc::default(),
            response_budget: Arc::clone(&self.app.response_budget),
            min_rate: self.app.settings.response_min_rate(),
        };
        let pieces = |pieces: Vec<Bytes>| {
            StreamBody::new(stream::iter(pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)))))
        };
        let response = middleware.answer(request.map(pieces)).await.ok()?;
        let (head, body) = response.into_parts();
        let endless = head.headers.get(CONTENT_TYPE).is_some_and(|media| media == "text/event-stream");
        let (mut body, mut bytes) = (pin!(body), BytesMut::new());
        while !endless && let Some(frame) = body.frame().await {
            if let Ok(piece) = frame.ok()?.into_data() {
                bytes.put(piece);
            }
        }
        Some(Response { status: head.status, headers: head.headers, body: bytes.freeze() })
    }
}

/// Cuts pieces of a stream into lines of at most `bytes_max` bytes; `None` stands for one that is longer.
#[must_use]
pub fn lines(bytes_max: usize, pieces: Vec<Bytes>) -> Vec<Option<Vec<u8>>> {
    let owned = |line: Line<'_>| match line {
        Line::Whole(line) => Some(line.to_vec()),
        Line::TooLong => None,
    };
    let mut lines = Lines::new(bytes_max);
    let mut cut = Vec::new();
    for mut piece in pieces {
        while let Some(line) = lines.next(&mut piece) {
            cut.push(owned(line));
        }
    }
    cut.extend(lines.last().map(owned));
    cut
}

/// Reads a query in which these parameters are known, and writes it again as the link to a next page does, with this
/// cursor.
#[must_use]
pub fn next_page(query: &str, known: &[&str], cursor: &str) -> Option<String> {
    Parameters::read(query, known).ok().map(|parameters| parameters.link_to_next(cursor))
}

/// The place that a cursor stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A record.
    Record(Timestamp, RecordId),
    /// A group of an aggregate.
    Group(DestinationId),
    /// A summary.
    Summary(Reference),
}

/// Reads a text as a cursor of each kind: the places that it stands for.
#[must_use]
pub fn places(cursor: &str) -> Vec<Place> {
    let record = PageToken::record(cursor).ok().map(|(time, id)| Place::Record(time, id));
    let group = PageToken::group(cursor).ok().map(Place::Group);
    let summary = PageToken::summary(cursor).ok().map(Place::Summary);
    [record, group, summary].into_iter().flatten().collect()
}

/// Writes the cursor of a place.
#[must_use]
pub fn cursor(place: &Place) -> String {
    match place.clone() {
        Place::Record(time, id) => PageToken::Record(time, id),
        Place::Group(destination) => PageToken::Group(destination),
        Place::Summary(reference) => PageToken::Summary(reference),
    }
    .write()
}

/// Returns the trace context that is accepted from these headers.
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    traceparent::of(headers)
}

/// Reads the text of a keys file: how many keys it holds.
///
/// # Errors
/// Says what is wrong with it, without quoting it.
pub fn keys_in(text: &str) -> Result<usize, String> {
    Keys::parse(text).map(|keys| keys.len())
}
