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
    buffer: Vec<u8>,
    /// Whether `buffer` was returned.
    returned: bool,
    /// Whether the partial line is too long already.
    overlong: bool,
    /// Whether this is the first line.
    is_first: bool,
}

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, buffer: Vec::new(), returned: false, overlong: false, is_first: true }
    }

    /// Takes the next line out of `piece`; `None` if `piece` ends within a line.
    pub(crate) fn next(&mut self, piece: &mut Bytes) -> Option<Line<'_>> {
        self.clear_returned();
        let Some(end) = piece.iter().position(|b| *b == b'\n') else {
            self.push(piece);
            piece.clear();
            return None;
        };
        self.push(&piece.split_to(end));
        piece.advance(1);
        Some(self.finish_line())
    }

    /// Takes the rest at the end of the stream; `None` if there is none.
    pub(crate) fn last(&mut self) -> Option<Line<'_>> {
        self.clear_returned();
        (self.overlong || !self.buffer.is_empty()).then(|| self.finish_line())
    }

    /// Says whether a long partial line is buffered.
    pub(crate) fn is_long(&self) -> bool {
        !self.returned && self.buffer.len() > LONG_BYTES
    }

    fn clear_returned(&mut self) {
        if std::mem::take(&mut self.returned) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(LONG_BYTES);
    }

    fn push(&mut self, bytes: &[u8]) {
        // One more than allowed, for a CR that belongs to the end of the line.
        let mark = if self.is_first { BYTE_ORDER_MARK_BYTES } else { 0 };
        if self.overlong || self.buffer.len() + bytes.len() > self.bytes_max + mark + 1 {
            self.overlong = true;
            self.clear();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn finish_line(&mut self) -> Line<'_> {
        self.returned = true;
        let line = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
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
