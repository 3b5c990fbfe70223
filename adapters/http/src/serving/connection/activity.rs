//! Tracks a connection's activity, and decides when a timeout cuts it.
//!
//! hyper's own timer covers the head of a request only, starts while the connection is idle, and does not see clients
//! that stop reading. So the socket and the requests record their activity here, in a few atomics, and a periodic check
//! enforces the deadlines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::serving::connection::malformed_request::MalformedRequests;
use crate::settings::HttpSettings;

/// The first bytes of every HTTP/2 connection (RFC 9113, section 3.4), as far as no HTTP/1 request shares them.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// Times are kept as milliseconds since the connection began, plus one. Zero means no time.
const NEVER: u64 = 0;

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests in flight.
    requests: AtomicUsize,
    /// Whether the connection has carried a request.
    used: AtomicBool,
    /// The time since which no request is in flight; [`NEVER`] while one is.
    idle_since: AtomicU64,
    /// The arrival of the first byte of the next head.
    head_since: AtomicU64,
    /// The time since which the peer has read nothing of its response.
    blocked_since: AtomicU64,
    /// Whether the connection is HTTP/2, whose frames also come without a request: pings, window updates.
    http2: AtomicBool,
}

/// The reason for cutting a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutReason {
    NoHead,
    Idle,
    Stalled,
    /// It waited too long for a permit under the limit on connections.
    NoPermit,
    /// It exceeds the greatest age.
    TooOld,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            http2: AtomicBool::new(false),
        }
    }

    /// Returns the reason why the connection must be cut now, if any.
    pub(crate) fn cut_reason(&self, settings: &HttpSettings) -> Option<CutReason> {
        if self.lasts_longer(&self.blocked_since, settings.stall_timeout) {
            return Some(CutReason::Stalled);
        }
        if self.requests.load(Ordering::Acquire) > 0 {
            return None;
        }
        let waits_for_first = !self.used.load(Ordering::Acquire);
        let begins_head =
            !self.http2.load(Ordering::Relaxed) && self.lasts_longer(&self.head_since, settings.head_timeout);
        if begins_head || waits_for_first && self.lasts_longer(&self.idle_since, settings.head_timeout) {
            return Some(CutReason::NoHead);
        }
        self.lasts_longer(&self.idle_since, settings.idle_timeout).then_some(CutReason::Idle)
    }

    /// Says whether no request is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn lasts_longer(&self, since: &AtomicU64, limit: Duration) -> bool {
        let since = since.load(Ordering::Acquire);
        since != NEVER && u128::from(self.now().saturating_sub(since)) >= limit.as_millis()
    }

    fn note_read(&self, bytes: &[u8]) {
        if self.requests.load(Ordering::Acquire) > 0 || self.head_since.load(Ordering::Relaxed) != NEVER {
            return;
        }
        if !self.used.load(Ordering::Relaxed) && bytes.starts_with(HTTP2_PREFACE) {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.head_since.store(self.now(), Ordering::Release);
    }

    fn note_write(&self, blocked: bool) {
        let noted = self.blocked_since.load(Ordering::Relaxed) != NEVER;
        if blocked != noted {
            self.blocked_since.store(if blocked { self.now() } else { NEVER }, Ordering::Release);
        }
    }
}

/// A request in flight; dropping this ends it.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl InFlight {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        activity.used.store(true, Ordering::Release);
        activity.head_since.store(NEVER, Ordering::Release);
        activity.idle_since.store(NEVER, Ordering::Release);
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle_since.store(self.0.now(), Ordering::Release);
        }
    }
}

/// A socket that records its activity.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) activity: Arc<Activity>,
    pub(crate) malformed_requests: MalformedRequests,
    /// Whether the last flush was blocked. TLS buffers sealed bytes, and only a flush shows that the peer reads nothing.
    pub(crate) flush_blocked: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.activity.note_read(bytes);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match this.malformed_requests.poll_write(Pin::new(&mut this.socket), cx, buf) {
            Some(result) => result,
            None => Pin::new(&mut this.socket).poll_write(cx, buf),
        };
        this.activity.note_write(result.is_pending());
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = bufs.first().map_or(&[][..], |buf| buf);
        let result = match this.malformed_requests.poll_write(Pin::new(&mut this.socket), cx, first) {
            Some(result) => result,
            None => Pin::new(&mut this.socket).poll_write_vectored(cx, bufs),
        };
        this.activity.note_write(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.socket).poll_flush(cx);
        let blocked = result.is_pending();
        // The flush of a plain socket is a no-op, and shows nothing about the peer.
        if blocked || this.flush_blocked {
            this.activity.note_write(blocked);
            this.flush_blocked = blocked;
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
