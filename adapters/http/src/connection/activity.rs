//! What a connection is doing, and how long it may go on doing nothing.
//!
//! hyper's own timer covers the head of a request only, begins while the connection is idle, and knows nothing of
//! clients that stop reading. So the socket and the requests note here what happens, at the price of an atomic or two,
//! and one look now and then decides.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::connection::malformed_request::Unreadable;
use crate::settings::HttpSettings;

/// The first bytes of every HTTP/2 connection (RFC 9113, section 3.4), as far as no HTTP/1 request shares them.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// Moments are kept as milliseconds since the connection began, plus one; this is none.
const NEVER: u64 = 0;

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests whose answers are not yet sent.
    requests: AtomicUsize,
    /// Whether there ever was one.
    used: AtomicBool,
    /// Since when there is no request; [`NEVER`] while there is one.
    idle_since: AtomicU64,
    /// When the first byte of the next head came.
    head_since: AtomicU64,
    /// Since when the peer takes nothing of what it is being sent.
    blocked_since: AtomicU64,
    /// HTTP/2 frames come without a request too: pings, window updates.
    http2: AtomicBool,
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    NoHead,
    Idle,
    Stalled,
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

    /// Says whether it is time to cut the connection.
    pub(crate) fn verdict(&self, settings: &HttpSettings) -> Option<Cut> {
        if self.longer(&self.blocked_since, settings.stall_timeout) {
            return Some(Cut::Stalled);
        }
        if self.requests.load(Ordering::Acquire) > 0 {
            return None;
        }
        let waits_for_first = !self.used.load(Ordering::Acquire);
        let begins_head = !self.http2.load(Ordering::Relaxed) && self.longer(&self.head_since, settings.head_timeout);
        if begins_head || waits_for_first && self.longer(&self.idle_since, settings.head_timeout) {
            return Some(Cut::NoHead);
        }
        self.longer(&self.idle_since, settings.idle_timeout).then_some(Cut::Idle)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn longer(&self, since: &AtomicU64, limit: Duration) -> bool {
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

/// A request whose answer is not yet sent; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        activity.used.store(true, Ordering::Release);
        activity.head_since.store(NEVER, Ordering::Release);
        activity.idle_since.store(NEVER, Ordering::Release);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle_since.store(self.0.now(), Ordering::Release);
        }
    }
}

/// A socket that notes what happens.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) activity: Arc<Activity>,
    pub(crate) unreadable: Unreadable,
    /// Whether the last flush found the peer to take nothing: TLS holds back what it has sealed, and says so only then.
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
        let result = match this.unreadable.poll_write(Pin::new(&mut this.socket), cx, buf) {
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
        let result = match this.unreadable.poll_write(Pin::new(&mut this.socket), cx, first) {
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
        // A bare socket has nothing to flush: its flush says nothing of the peer.
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
