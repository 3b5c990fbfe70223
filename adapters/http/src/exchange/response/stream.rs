//! Streamed responses, in bounded memory.
//!
//! A task writes the body into a small channel, from which the connection reads. The body ends properly only if the
//! task succeeds. A failure breaks the connection, so that no client mistakes a part for the whole.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tallyhouse_pipeline::ports::{PortError, PortErrorKind};
use tallyhouse_pipeline::{FeedError, SubmitError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use warp::reply::{Reply, Response};

use crate::exchange::context::RequestContext;
use crate::exchange::observe::log_throttle::LogThrottle;
use crate::exchange::response::problem::chain;
use crate::keys::key_ring::revoked;

/// The size of a piece: large enough to make the cost per piece small.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;

/// Tells nginx, and proxies that follow it, not to buffer the response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Marks a response that reports committed writes: it is sent even if the memory budget for responses is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportsWrites;

/// Pieces that wait for the connection.
const PIECES_WAITING: usize = 2;

/// Throttles the log line of unavailable storage, which every stream would repeat.
static BROKEN: LogThrottle = LogThrottle::new();

/// Throttles the log line of malformed bodies, which a client could cause without end.
static MALFORMED: LogThrottle = LogThrottle::new();

enum Piece {
    Bytes(Bytes),
    End,
}

/// The reason why a response broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the client has disconnected")]
    Disconnected,
    #[error("the client reads nothing of the answer")]
    Unread,
    #[error("neither side moves")]
    Stalled,
    #[error("the body broke off")]
    Body(#[source] io::Error),
    #[error("the body's gzip is malformed")]
    Malformed(#[source] io::Error),
    #[error("the answer can't be continued")]
    Port(#[from] PortError),
    #[error("the history has changed under the stream")]
    HistoryChanged,
    #[error("its snapshot of the database is too old")]
    TooOld,
    #[error("records have no outcome")]
    Submit(#[from] SubmitError),
    #[error("the caller's key was removed")]
    Revoked,
    #[error("a group's records are not those of its totals")]
    Inexact,
}

impl From<io::Error> for Broken {
    /// Tells what the client has sent wrongly from what it has not sent: the connection's errors are of no kind, those of
    /// the decoder have one.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Other => Self::Body(error),
            _ => Self::Malformed(error),
        }
    }
}

impl From<FeedError> for Broken {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::HistoryChanged { .. } => Self::HistoryChanged,
            FeedError::Port(error) => Self::Port(error),
        }
    }
}

impl Broken {
    fn log(&self, context: &RequestContext) {
        let (error, request_id, trace_id) = (chain(self), context.request_id(), context.trace_id());
        match self {
            Self::Inexact => tracing::error!(request_id, trace_id, error, "an answer broke off"),
            Self::HistoryChanged | Self::TooOld => tracing::warn!(request_id, trace_id, error, "an answer broke off"),
            Self::Revoked => tracing::info!(request_id, trace_id, error, "an answer broke off"),
            Self::Port(port) => match port.kind() {
                PortErrorKind::Unavailable => match BROKEN.try_pass() {
                    Some(others) => tracing::warn!(request_id, trace_id, others, error, "an answer broke off"),
                    None => tracing::debug!(request_id, trace_id, error, "an answer broke off"),
                },
                PortErrorKind::Refused | PortErrorKind::Corrupt | PortErrorKind::Misuse => {
                    tracing::error!(request_id, trace_id, error, "an answer broke off");
                }
            },
            Self::Malformed(_) => match MALFORMED.try_pass() {
                Some(others) => tracing::warn!(request_id, trace_id, others, error, "an answer broke off"),
                None => tracing::debug!(request_id, trace_id, error, "an answer broke off"),
            },
            // Caused by the client, or logged by the pipeline for a whole batch.
            Self::Disconnected | Self::Unread | Self::Stalled | Self::Body(_) | Self::Submit(_) => {
                tracing::debug!(request_id, trace_id, error, "an answer broke off");
            }
        }
    }
}

/// The writer of a response's body.
pub(crate) struct BodyWriter {
    pieces: mpsc::Sender<Piece>,
    /// The longest time without a read by the client.
    stall_timeout: Duration,
    /// A copy of the body for the cache, unless it is too long.
    copy: Option<Copy>,
}

/// A copy of a body.
struct Copy {
    bytes: Vec<u8>,
    length_max: usize,
}

impl BodyWriter {
    /// Copies all that is sent from now on, unless it is longer than `length_max`.
    pub(crate) fn copying(mut self, length_max: usize) -> Self {
        self.copy = Some(Copy { bytes: Vec::new(), length_max });
        self
    }

    /// Takes the copy; `None` if there is none, or the body was too long.
    pub(crate) fn copied(&mut self) -> Option<Bytes> {
        self.copy.take().map(|copy| copy.bytes.into())
    }

    /// Sends a piece, waiting for the client if it is slow.
    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), Broken> {
        let bytes = bytes.into();
        if let Some(copy) = &mut self.copy {
            if copy.bytes.len() + bytes.len() > copy.length_max {
                self.copy = None;
            } else {
                copy.bytes.extend_from_slice(&bytes);
            }
        }
        self.put(Piece::Bytes(bytes)).await
    }

    /// Sends the gathered bytes once they fill a piece.
    pub(crate) async fn send_if_large(&mut self, gathered: &mut Vec<u8>) -> Result<(), Broken> {
        if gathered.len() < PIECE_BYTES {
            return Ok(());
        }
        self.send(std::mem::replace(gathered, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4))).await
    }

    /// Waits until the client has disconnected.
    pub(crate) async fn closed(&self) {
        self.pieces.closed().await;
    }

    async fn put(&self, piece: Piece) -> Result<(), Broken> {
        // A channel with capacity needs no timer.
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Broken::Disconnected),
            Err(mpsc::error::TrySendError::Full(piece)) => piece,
        };
        match timeout(self.stall_timeout, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(Broken::Disconnected),
            Err(_elapsed) => Err(Broken::Unread),
        }
    }
}

/// Answers `200` with the body that `make` writes. If `make` fails or panics, the connection breaks. If the caller's
/// key is removed meanwhile, the work is dropped and the connection breaks, too.
pub(crate) fn answer<M, F>(
    content_type: &'static str,
    stall_timeout: Duration,
    context: &RequestContext,
    make: M,
) -> Response
where
    M: FnOnce(BodyWriter) -> F,
    F: Future<Output = Result<BodyWriter, Broken>> + Send + 'static,
{
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let making = make(BodyWriter { pieces, stall_timeout, copy: None });
    let mut context = context.clone();
    tokio::spawn(async move {
        let made = tokio::select! {
            biased;
            () = revoked(context.grant.as_mut()) => Err(Broken::Revoked),
            made = making => made,
        };
        let ended = match made {
            Ok(body_writer) => body_writer.put(Piece::End).await,
            Err(broken) => Err(broken),
        };
        match ended {
            Ok(()) => {}
            Err(broken) => broken.log(&context),
        }
    });
    let mut response = warp::reply::stream(until_end(waiting)).into_response();
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Breaks off a body that is not complete by its deadline.
pub(crate) async fn within(
    deadline: Instant,
    writing: impl Future<Output = Result<BodyWriter, Broken>>,
) -> Result<BodyWriter, Broken> {
    timeout_at(deadline, writing).await.unwrap_or(Err(Broken::TooOld))
}

fn until_end(waiting: mpsc::Receiver<Piece>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    stream::unfold(Some(waiting), |waiting| async move {
        let mut waiting = waiting?;
        match waiting.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(waiting))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the answer broke off")), None)),
        }
    })
}
