//! The elements of a JSON array, one at a time: of an array of any size only one element is held.
//!
//! Only the places where elements begin and end are sought here; whether an element is good JSON is for its reader to
//! say. A fault inside an element therefore costs that element alone, and a fault between them ends the array.

use std::io::BufRead;

use super::Ended;

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
    /// Where it begins.
    pub(super) line: u64,
    /// `None` if it is too long.
    pub(super) text: Option<&'a [u8]>,
}

/// Where in the array the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the bracket that opens it.
    Start,
    /// Behind that bracket: an element or the end must come.
    Opened,
    /// Behind a comma: an element must come.
    Comma,
    /// Behind an element: a comma or the end must come.
    Behind,
    /// Behind the bracket that closes it.
    End,
}

impl Elements {
    pub(super) fn new(reader: Box<dyn BufRead>, line: u64, bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), line, bytes_max, place: Place::Start }
    }

    /// Returns the next element, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Element<'_>>, Ended> {
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

    /// Reads one element, at whose first byte the reader is.
    fn element(&mut self) -> Result<Element<'_>, Ended> {
        let line = self.line;
        let mut scan = Scan::default();
        let mut bytes = 0;
        self.buffer.clear();
        while !scan.ended {
            let read = self.reader.fill_buf().map_err(|error| Ended::At(self.line, error.to_string()))?;
            if read.is_empty() {
                return Err(Ended::At(line, "the array ends within the element that begins here".to_owned()));
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

    /// Returns the next byte that is not white space, and stays before it.
    fn next_byte(&mut self) -> Result<Option<u8>, Ended> {
        loop {
            let read = self.reader.fill_buf().map_err(|error| Ended::At(self.line, error.to_string()))?;
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

    fn fault(&self, place: Place, byte: Option<u8>) -> Ended {
        let expected = match place {
            Place::Start => "[",
            Place::Opened => "a record or ]",
            Place::Comma => "a record",
            Place::Behind => ", or ]",
            Place::End => "nothing more",
        };
        let found = byte.map_or("the end of the file".to_owned(), |byte| char::from(byte).escape_default().to_string());
        Ended::At(self.line, format!("this is no JSON array: expected {expected}, found {found}"))
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

/// Looks for the end of an element: behind its last bracket or quote, or before what ends a bare word.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the element is a number, `true`, `false`, `null`, or garbage that looks like one.
    bare: bool,
    ended: bool,
}

impl Scan {
    /// Goes through bytes until the element ends, and returns how many belong to it.
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
