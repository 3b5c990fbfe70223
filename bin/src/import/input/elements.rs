//! The elements of a JSON array, one at a time: memory holds a single element, for an array of any size.
//!
//! This scanner finds where elements begin and end; the parser of records judges their content. A fault inside an
//! element therefore costs that element alone, and a fault between two elements ends the array.

use std::io::BufRead;

use super::stop::Stop;

/// Reads the elements of an array.
pub(super) struct Elements {
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    line: u64,
    bytes_max: usize,
    place: Place,
}

/// One element, without white space around it.
#[derive(Debug)]
pub(super) struct Element<'a> {
    /// The line on which the element begins.
    pub(super) line: u64,
    /// `None` if the element is too long.
    pub(super) text: Option<&'a [u8]>,
}

/// The position of the reader in the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the opening bracket.
    Start,
    /// Behind the opening bracket: an element or the end must follow.
    Opened,
    /// Behind a comma: an element must follow.
    Comma,
    /// Behind an element: a comma or the end must follow.
    Behind,
    /// Behind the closing bracket.
    End,
}

impl Elements {
    pub(super) fn new(reader: Box<dyn BufRead>, line: u64, bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), line, bytes_max, place: Place::Start }
    }

    /// Returns the next element, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Element<'_>>, Stop> {
        loop {
            let byte = self.next_byte()?;
            self.place = match (self.place, byte) {
                (Place::Start, Some(b'[')) => self.step(Place::Opened),
                (Place::Opened | Place::Behind, Some(b']')) => self.step(Place::End),
                (Place::Behind, Some(b',')) => self.step(Place::Comma),
                (Place::Opened | Place::Comma, Some(byte)) if !matches!(byte, b',' | b']' | b'}' | b':') => {
                    self.place = Place::Behind;
                    return self.element().map(Some);
                }
                (Place::End, None) => return Ok(None),
                (place, byte) => return Err(self.fault(place, byte)),
            };
        }
    }

    /// Reads one element; the reader is at its first byte.
    fn element(&mut self) -> Result<Element<'_>, Stop> {
        let line = self.line;
        let mut scan = Scan::default();
        let mut bytes = 0;
        self.buffer.clear();
        while !scan.ended {
            let read = self.reader.fill_buf().map_err(|error| Stop::Fault(self.line, error.to_string()))?;
            if read.is_empty() {
                return Err(Stop::Fault(line, "the array ends within the element that begins here".to_owned()));
            }
            let used = scan.run(read);
            bytes += used;
            if bytes <= self.bytes_max {
                self.buffer.extend_from_slice(&read[..used]);
            }
            self.line += newlines(&read[..used]);
            self.reader.consume(used);
        }
        let text = (bytes <= self.bytes_max).then(|| self.buffer.trim_ascii_end());
        Ok(Element { line, text })
    }

    /// Skips white space, and returns the next byte without consuming it.
    fn next_byte(&mut self) -> Result<Option<u8>, Stop> {
        loop {
            let read = self.reader.fill_buf().map_err(|error| Stop::Fault(self.line, error.to_string()))?;
            let blank = read.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
            let (byte, at_end) = (read.get(blank).copied(), read.is_empty());
            self.line += newlines(&read[..blank]);
            self.reader.consume(blank);
            if byte.is_some() || at_end {
                return Ok(byte);
            }
        }
    }

    fn step(&mut self, place: Place) -> Place {
        self.reader.consume(1);
        place
    }

    fn fault(&self, place: Place, byte: Option<u8>) -> Stop {
        let expected = match place {
            Place::Start => "[",
            Place::Opened => "a record or ]",
            Place::Comma => "a record",
            Place::Behind => ", or ]",
            Place::End => "nothing more",
        };
        let found = byte.map_or("the end of the file".to_owned(), |byte| char::from(byte).escape_default().to_string());
        Stop::Fault(self.line, format!("this is no JSON array: expected {expected}, found {found}"))
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

/// Finds the end of an element: behind its last bracket or quote, or before the delimiter behind a bare word.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the element is a bare word: a number, `true`, `false`, `null`, or garbage.
    bare: bool,
    ended: bool,
}

impl Scan {
    /// Scans until the element ends, and returns the number of its bytes.
    fn run(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                self.in_string(*byte);
            } else {
                match byte {
                    b'"' if !self.bare => self.in_string = true,
                    b'[' | b'{' if !self.bare => self.depth += 1,
                    b']' | b'}' if self.depth > 0 => self.depth -= 1,
                    b',' | b']' | b'}' if self.depth == 0 => {
                        self.ended = true;
                        return at;
                    }
                    _ if self.depth == 0 => {
                        self.bare = true;
                        continue;
                    }
                    _ => continue,
                }
            }
            if self.depth == 0 && !self.in_string && !self.bare {
                self.ended = true;
                return at + 1;
            }
        }
        bytes.len()
    }

    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
