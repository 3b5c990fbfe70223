//! Tracks how fast a client takes a response, and ends a transfer that is too slow.
//!
//! The body is handed out in small pieces, and each reports when it is sent. So the client's rate and the bytes in
//! memory are known in HTTP/1 and HTTP/2 alike.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use crate::bounds::shared_budget::Reservation;
use crate::bounds::stall_timer::{MinRate, StallTimer};
use crate::serving::connection::activity::InFlight;

/// The size of a piece. So much of a response may lie in a connection's buffers, beyond the client's window.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// The transfer of a response. It ends when nothing of the response is left in memory.
#[derive(Debug)]
pub(crate) struct Transfer {
    state: Mutex<State>,
    all_sent: AtomicWaker,
    /// Ends the HTTP/2 stream; `None` in HTTP/1.
    end: Option<CancellationToken>,
    _in_flight: InFlight,
}

#[derive(Debug)]
struct State {
    stall_timer: StallTimer,
    /// The reservation of a body of known length, released as the body is sent.
    reservation: Option<Reservation>,
    /// The reservations of a body of unknown length and of an HTTP/2 stream, held until the end.
    _until_end: [Option<Reservation>; 2],
    /// Pieces that are not yet sent.
    pieces: usize,
    /// Whether the connection asked for a piece when none was ready.
    wants_more: bool,
}

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    Good,
    /// The check has just ended the stream.
    StreamEnded,
    /// The transfer stalls, and only cutting the connection can end it.
    Stalled,
}

impl Transfer {
    pub(crate) fn new(
        min_rate: MinRate,
        reservation: Option<Reservation>,
        until_end: [Option<Reservation>; 2],
        end: Option<CancellationToken>,
        in_flight: InFlight,
    ) -> Arc<Self> {
        let mut stall_timer = StallTimer::new(min_rate);
        // From now on the head waits for the client.
        stall_timer.resume();
        let state = Mutex::new(State { stall_timer, reservation, _until_end: until_end, pieces: 0, wants_more: false });
        Arc::new(Self { state, all_sent: AtomicWaker::new(), end, _in_flight: in_flight })
    }

    /// Checks the stall timer, and ends the stream of a client that is too slow. While the server stops, `drain_grace` is
    /// the longest time without a byte.
    pub(crate) fn check(&self, drain_grace: Option<Duration>) -> Progress {
        let mut state = self.state();
        if let Some(grace) = drain_grace {
            state.stall_timer.shorten_grace(grace);
        }
        if !state.stall_timer.is_expired() {
            return Progress::Good;
        }
        match &self.end {
            Some(end) if !end.is_cancelled() => {
                // A stream whose last piece is queued can't be reset any more. So the client gets its credit once more;
                // then the connection is cut.
                state.stall_timer.reset();
                state.stall_timer.resume();
                drop(state);
                end.cancel();
                Progress::StreamEnded
            }
            Some(_) | None => Progress::Stalled,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self) {
        let mut state = self.state();
        state.pieces += 1;
        state.wants_more = false;
        state.stall_timer.resume();
    }

    fn sent(&self, bytes: usize) {
        let mut state = self.state();
        state.pieces -= 1;
        state.stall_timer.add_progress(bytes);
        if let Some(reservation) = &mut state.reservation {
            reservation.release(bytes);
        }
        if state.pieces == 0 {
            state.stop_waiting();
            drop(state);
            self.all_sent.wake();
        }
    }
}

impl State {
    /// The server stops waiting for the client. A client that has read everything gets its whole credit back.
    fn stop_waiting(&mut self) {
        if self.wants_more {
            self.stall_timer.reset();
        } else {
            self.stall_timer.pause();
        }
    }
}

/// The transfers of a connection.
#[derive(Debug, Default)]
pub(crate) struct Transfers(Mutex<Vec<Weak<Transfer>>>);

impl Transfers {
    pub(crate) fn add(&self, transfer: &Arc<Transfer>) {
        let mut transfers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.retain(|transfer| transfer.strong_count() > 0);
        transfers.push(Arc::downgrade(transfer));
    }

    /// Checks each transfer, and returns the worst progress.
    pub(crate) fn check(&self, drain_grace: Option<Duration>) -> Progress {
        // The lock is released first: it must be free if the last reference to a transfer is dropped here.
        let transfers: Vec<_> = {
            let transfers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            transfers.iter().filter_map(Weak::upgrade).collect()
        };
        transfers.iter().map(|transfer| transfer.check(drain_grace)).max().unwrap_or(Progress::Good)
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(crate) struct Piece {
    rest: Bytes,
    length: usize,
    transfer: Arc<Transfer>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.rest.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rest.chunk()
    }

    fn advance(&mut self, cnt: usize) {
        self.rest.advance(cnt);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.transfer.sent(self.length);
    }
}

/// A body in pieces.
#[derive(Debug)]
pub(crate) struct InPieces<B> {
    body: B,
    /// The rest of a frame.
    rest: Bytes,
    /// Whether there was more than one piece.
    is_long: bool,
    /// Whether the body has ended. An ended body must not be polled again.
    ended: bool,
    transfer: Arc<Transfer>,
}

impl<B: Body<Data = Bytes> + Unpin> InPieces<B> {
    pub(crate) fn new(body: B, transfer: Arc<Transfer>) -> Self {
        Self { body, rest: Bytes::new(), is_long: false, ended: false, transfer }
    }

    fn piece(&mut self) -> Piece {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        self.transfer.hand_out();
        Piece { rest: self.rest.split_to(length), length, transfer: Arc::clone(&self.transfer) }
    }

    /// In HTTP/2, ends a long body only when all of it is sent: an ended stream can't be reset any more.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.transfer.end.is_none() {
            return Poll::Ready(());
        }
        self.transfer.all_sent.register(cx.waker());
        if self.transfer.state().pieces == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InPieces<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if this.ended {
            ready!(this.poll_end(cx));
            return Poll::Ready(None);
        }
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Pending => {
                    let mut state = this.transfer.state();
                    state.wants_more = true;
                    if state.pieces == 0 {
                        state.stop_waiting();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    ready!(this.poll_end(cx));
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(frame.into_trailers().ok().map(|map| Ok(Frame::trailers(map)))),
                },
            }
        } else {
            this.is_long = true;
        }
        Poll::Ready(Some(Ok(Frame::data(this.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        let may_end = !self.is_long || self.transfer.end.is_none();
        may_end && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, mut hint) = (u64::try_from(self.rest.len()).unwrap_or(u64::MAX), self.body.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests;
