//! The body of a request: read as a whole within limits, or piece by piece.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Buf, Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt, stream};
use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::io::{ReaderStream, StreamReader};

use tallyhouse_pipeline::without_byte_order_mark;

use crate::bounds::body_budget::BodyReservation;
use crate::bounds::stall_timer::{MinRate, StallTimer};
use crate::exchange::request::content_encoding::{self, Encoding};
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::keys::key_ring::{Grant, revoked};

/// How much of a refused body is read and discarded, in bytes as sent, and for how long. A client that is still sending
/// when the connection closes may never see the refusal.
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(5);

/// The limits of a body that is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: usize,
    /// The minimum rate of the body.
    pub(crate) min_rate: MinRate,
    /// The longest time that the whole body may take.
    pub(crate) timeout: Duration,
}

impl BodyLimits {
    const NONE: Self = Self {
        bytes_max: 0,
        min_rate: MinRate { grace: Duration::ZERO, bytes_per_second_min: 0 },
        timeout: Duration::ZERO,
    };
}

/// The reading of a body as a whole.
struct Reading<'r> {
    deadline: Instant,
    stall_timer: StallTimer,
    /// The body's reservation from the memory budget; `None` for bodies without one.
    reservation: Option<&'r mut BodyReservation>,
}

impl Reading<'_> {
    /// Reserves memory for a piece. The wait for memory does not count against the client's deadlines.
    async fn reserve(&mut self, bytes: usize) -> Result<(), Problem> {
        self.stall_timer.add_progress(bytes);
        self.stall_timer.pause();
        let began = Instant::now();
        if let Some(reservation) = &mut self.reservation {
            let has_grown = reservation.grow(bytes).await;
            let full = "Too many batches are in flight; repeat the request later.";
            has_grown.then_some(()).ok_or_else(|| Problem::new(ProblemCode::Overloaded, full))?;
        }
        self.deadline += began.elapsed();
        Ok(())
    }
}

/// The length of a byte order mark in UTF-8.
pub(crate) const BYTE_ORDER_MARK_BYTES: usize = '\u{feff}'.len_utf8();

/// Bytes that are unpacked at once.
const UNPACKED_PIECE_BYTES: usize = 32 * 1024;

type Piece = io::Result<Bytes>;

/// A body as it was sent. Its rest can be read without unpacking.
#[derive(Clone)]
struct RawBody(Arc<Mutex<Pin<Box<dyn Stream<Item = Piece> + Send>>>>);

impl RawBody {
    fn new(pieces: impl Stream<Item = Piece> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(pieces))))
    }
}

impl Stream for RawBody {
    type Item = Piece;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(context)
    }
}

/// The body of a request.
pub(crate) struct RequestBody {
    sent: RawBody,
    pieces: Pin<Box<dyn Stream<Item = Piece> + Send + Sync>>,
    /// The first piece, if it was read by [`RequestBody::send_continue`].
    ahead: Option<Piece>,
    ended: bool,
    length: Option<usize>,
    expects_continue: bool,
    limits: BodyLimits,
    /// A body that is read as a whole is refused once this is revoked.
    grant: Option<Grant>,
}

impl RequestBody {
    pub(crate) fn new<B: Buf>(
        pieces: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
        headers: &HeaderMap,
    ) -> Self {
        let pieces =
            pieces.map(|piece| piece.map(|mut buf| buf.copy_to_bytes(buf.remaining())).map_err(io::Error::other));
        let sent = RawBody::new(pieces);
        let is_packed = content_encoding::of_body(headers) == Some(Encoding::Gzip);
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let expects_continue = headers.contains_key(EXPECT);
        Self {
            pieces: if is_packed { Box::pin(unpack(sent.clone())) } else { Box::pin(sent.clone()) },
            sent,
            ahead: None,
            ended: false,
            // Limits count unpacked bytes, and no header announces their number.
            length: length.filter(|_| !is_packed),
            expects_continue,
            limits: BodyLimits::NONE,
            grant: None,
        }
    }

    /// Sets the limits of a body that is read as a whole, and the grant that must not be revoked before its end.
    /// Without limits the body must be empty.
    pub(crate) fn limit(&mut self, limits: BodyLimits, grant: Option<Grant>) {
        self.limits = limits;
        self.grant = grant;
    }

    /// Takes the body out, and leaves an ended one in its place.
    pub(crate) fn take(&mut self) -> Self {
        let rest = Self {
            sent: RawBody::new(stream::empty()),
            pieces: Box::pin(stream::empty()),
            ahead: None,
            ended: true,
            length: Some(0),
            expects_continue: false,
            limits: self.limits,
            grant: None,
        };
        std::mem::replace(self, rest)
    }

    /// Returns the next piece, `None` at the end. Cancelling the call loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        let piece = match self.ahead.take() {
            Some(piece) => Some(piece),
            None => self.pieces.next().await,
        };
        self.ended = piece.is_none();
        piece
    }

    /// Sends `100 Continue` to a client that waits for it. The connection sends it when the body is first polled, but
    /// not once the head of the response is sent.
    pub(crate) async fn send_continue(&mut self) {
        if self.expects_continue && self.ahead.is_none() {
            self.ahead = self.pieces.next().now_or_never().flatten();
            tokio::task::yield_now().await;
        }
    }

    /// Reads the body as a whole, without a byte order mark at its beginning.
    pub(crate) async fn read_whole(&mut self) -> Result<Bytes, Problem> {
        self.read_granted(None).await
    }

    /// Reads the body like [`RequestBody::read_whole`], and reserves memory for each piece as it arrives.
    pub(crate) async fn read_whole_into(&mut self, reservation: &mut BodyReservation) -> Result<Bytes, Problem> {
        self.read_granted(Some(reservation)).await
    }

    async fn read_granted(&mut self, reservation: Option<&mut BodyReservation>) -> Result<Bytes, Problem> {
        let mut grant = self.grant.take();
        let whole = tokio::select! {
            biased;
            () = revoked(grant.as_mut()) => return Err(Problem::unauthorized()),
            whole = self.read_all(reservation) => whole?,
        };
        let text = without_byte_order_mark(&whole);
        if text.len() > self.limits.bytes_max {
            return Err(Problem::too_large(self.limits.bytes_max));
        }
        Ok(whole.slice_ref(text))
    }

    async fn read_all(&mut self, reservation: Option<&mut BodyReservation>) -> Result<Bytes, Problem> {
        let BodyLimits { timeout, min_rate, .. } = self.limits;
        // A byte order mark does not count towards the limit, and is recognised only when the body has arrived.
        let bytes_max = self.limits.bytes_max.saturating_add(BYTE_ORDER_MARK_BYTES);
        let too_large = Problem::too_large(self.limits.bytes_max);
        if self.length.is_some_and(|length| length > bytes_max) {
            return Err(too_large);
        }
        let mut reading =
            Reading { deadline: Instant::now() + timeout, stall_timer: StallTimer::new(min_rate), reservation };
        let Some(first) = self.next_piece(&mut reading).await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next_piece(&mut reading).await? else {
            // Most bodies come in one piece, which needs no copy.
            return if first.len() > bytes_max { Err(too_large) } else { Ok(first) };
        };
        let mut whole = BytesMut::with_capacity((first.len() + second.len()) * 2);
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(piece) = next {
            whole.extend_from_slice(&piece);
            if whole.len() > bytes_max {
                return Err(too_large);
            }
            next = self.next_piece(&mut reading).await?;
        }
        Ok(whole.freeze())
    }

    async fn next_piece(&mut self, reading: &mut Reading<'_>) -> Result<Option<Bytes>, Problem> {
        reading.stall_timer.resume();
        let deadline = reading.deadline.min(reading.stall_timer.deadline());
        match timeout_at(deadline, self.next()).await {
            Ok(Some(Ok(piece))) => {
                reading.reserve(piece.len()).await?;
                Ok(Some(piece))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_broken))) => {
                Err(Problem::new(ProblemCode::NotJson, "The body broke off, or its encoding is malformed."))
            }
            Err(_elapsed) => Err(Problem::new(ProblemCode::Timeout, "The body came too slowly.")),
        }
    }

    /// Reads the rest of a refused body in the background, and discards it.
    pub(crate) fn linger(self) {
        // A client that waits for `100 Continue` sends nothing after a refusal.
        if self.ended || self.expects_continue || self.length == Some(0) {
            return;
        }
        let discard = async move {
            let (mut sent, mut bytes) = (self.sent, 0);
            while let Some(Ok(piece)) = sent.next().await {
                bytes += piece.len();
                if bytes > LINGER_BYTES_MAX {
                    break;
                }
            }
        };
        tokio::spawn(timeout(LINGER_MAX, discard));
    }
}

/// Unpacks a gzipped body (RFC 1952), of one member or several, piece by piece.
fn unpack(pieces: impl Stream<Item = Piece> + Send + Sync + 'static) -> impl Stream<Item = Piece> + Send + Sync {
    let mut decoder = GzipDecoder::new(StreamReader::new(Box::pin(pieces)));
    decoder.multiple_members(true);
    ReaderStream::with_capacity(decoder, UNPACKED_PIECE_BYTES)
}
