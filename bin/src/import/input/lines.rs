//! Lines of bounded length.

use std::io::BufRead;

use super::Ended;

/// Reads lines; of one that is too long nothing is kept.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    /// The line that comes next.
    number: u64,
    bytes_max: usize,
}

/// One line, without its end: LF or CR LF.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    /// `None` if it is too long.
    pub(super) text: Option<&'a [u8]>,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead>, number: u64, bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), number, bytes_max }
    }

    /// Returns the next line, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Ended> {
        self.buffer.clear();
        let (mut too_long, mut any) = (false, false);
        loop {
            let read = self.reader.fill_buf().map_err(|error| Ended::At(self.number, error.to_string()))?;
            if read.is_empty() {
                break;
            }
            any = true;
            let end = read.iter().position(|b| *b == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            // One more than allowed, for a CR that belongs to the end of the line.
            too_long |= self.buffer.len() + part.len() > self.bytes_max + 1;
            if !too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        let number = self.number;
        self.number += 1;
        let text = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        let too_long = too_long || text.len() > self.bytes_max;
        Ok(any.then_some(Line { number, text: (!too_long).then_some(text) }))
    }
}

#[cfg(test)]
mod tests;
