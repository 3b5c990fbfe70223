//! Cuts a stream of bytes into lines, and buffers at most one line of valid length. A byte order mark at the beginning
//! of the stream is skipped.

use bytes::{Buf, Bytes};

use tallyhouse_pipeline::without_byte_order_mark;

use crate::exchange::request::body::BYTE_ORDER_MARK_BYTES;

/// A partial line is long beyond this length: a connection may buffer only a few long ones.
const LONG_BYTES: usize = 8 * 1024;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// Longer than allowed; its content is discarded.
    TooLong,
}

/// The splitter. Lines end with LF or CR LF; the last one may lack its end.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes_max: usize,
    /// The partial line, or the one that was returned last.
    kept: Vec<u8>,
    /// Whether `kept` was returned.
    handed_out: bool,
    /// Whether the partial line is too long already.
    overlong: bool,
    /// Whether this is the first line.
    is_first: bool,
}

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Vec::new(), handed_out: false, overlong: false, is_first: true }
    }

    /// Takes the next line out of `piece`; `None` if `piece` ends within a line.
    pub(crate) fn next(&mut self, piece: &mut Bytes) -> Option<Line<'_>> {
        self.forget();
        let Some(end) = piece.iter().position(|b| *b == b'\n') else {
            self.keep(piece);
            piece.clear();
            return None;
        };
        self.keep(&piece.split_to(end));
        piece.advance(1);
        Some(self.hand_out())
    }

    /// Takes the rest at the end of the stream; `None` if there is none.
    pub(crate) fn last(&mut self) -> Option<Line<'_>> {
        self.forget();
        (self.overlong || !self.kept.is_empty()).then(|| self.hand_out())
    }

    /// Says whether a long partial line is buffered.
    pub(crate) fn is_long(&self) -> bool {
        !self.handed_out && self.kept.len() > LONG_BYTES
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.handed_out) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(LONG_BYTES);
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One more than allowed, for a CR that belongs to the end of the line.
        let mark = if self.is_first { BYTE_ORDER_MARK_BYTES } else { 0 };
        if self.overlong || self.kept.len() + bytes.len() > self.bytes_max + mark + 1 {
            self.overlong = true;
            self.clear();
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }

    fn hand_out(&mut self) -> Line<'_> {
        self.handed_out = true;
        let line = self.kept.strip_suffix(b"\r").unwrap_or(&self.kept);
        let line = if std::mem::take(&mut self.is_first) { without_byte_order_mark(line) } else { line };
        if std::mem::take(&mut self.overlong) || line.len() > self.bytes_max {
            Line::TooLong
        } else {
            Line::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests;
