//! NDJSON that goes both ways on one connection: results are read while records are still being sent.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;

use serde_json::Value;

use crate::clients::wire::{Wire, WireAnswer};

/// The sending half.
#[derive(Debug)]
pub struct LineSender(Wire);

/// The reading half.
#[derive(Debug)]
pub struct LineResults(BufReader<WireAnswer>);

/// Opens a batch in NDJSON. The answer's head comes with the first result, or before.
///
/// # Panics
/// The service does not take the request.
#[must_use]
#[track_caller]
pub fn open(address: SocketAddr, query: &str) -> LineSender {
    try_open(address, query).expect("the service takes the request")
}

/// Opens a batch in NDJSON, at a service that may be gone.
///
/// # Errors
/// It is.
pub fn try_open(address: SocketAddr, query: &str) -> io::Result<LineSender> {
    let mut wire = Wire::try_connect(address)?;
    let first = format!("POST /v1/records/batch{query}");
    wire.head(&[&first, "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"])?;
    Ok(LineSender(wire))
}

impl LineSender {
    /// Sends one line.
    ///
    /// # Errors
    /// The connection broke.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.0.chunk(format!("{line}\n").as_bytes())
    }

    /// Sends bytes with their own line ends.
    ///
    /// # Errors
    /// The connection broke.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.chunk(bytes)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// The connection broke.
    pub fn end(&mut self) -> io::Result<()> {
        self.0.chunk(b"")
    }

    /// Ends the connection in the middle of the body.
    ///
    /// # Errors
    /// The connection is broken already.
    pub fn break_off(&mut self) -> io::Result<()> {
        self.0.half_close()
    }

    /// Returns a second handle that sends on the same connection, for a thread of its own.
    ///
    /// # Errors
    /// The process has no more file descriptors.
    pub fn sending_half(&self) -> io::Result<Self> {
        self.0.sender().map(Self)
    }

    /// Waits for the head of the answer, and returns the reading half.
    ///
    /// # Errors
    /// The connection broke.
    pub fn results(&self) -> io::Result<LineResults> {
        let answer = self.0.sender()?.answer()?;
        if answer.status != 200 {
            let status = answer.status;
            return Err(io::Error::other(format!("status {status}: {}", answer.text()?)));
        }
        Ok(LineResults(BufReader::new(answer)))
    }
}

impl LineResults {
    /// Waits for the next result; `None` at the end of the body.
    ///
    /// # Errors
    /// The connection broke before the end of the body.
    pub fn next_result(&mut self) -> io::Result<Option<Value>> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Ok(None),
            _ if !line.ends_with('\n') => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => serde_json::from_str(&line).map(Some).map_err(io::Error::other),
        }
    }

    /// Reads results until the body ends, or the connection breaks.
    pub fn until_the_end(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_result().ok().flatten()).collect()
    }
}
