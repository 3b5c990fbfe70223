//! HTTP/1.1 on a bare connection: for what a well-behaved client library hides. Streams that go both ways, bodies that
//! stop half-way, answers that break off.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a read or a write may block.
const IO_PATIENCE: Duration = Duration::from_secs(60);

/// A connection on which one request is sent.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens.
    #[must_use]
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the service listens")
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IO_PATIENCE))?;
        stream.set_write_timeout(Some(IO_PATIENCE))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Sends a request's head: the first line and headers, each without line end. `Host` and `Connection: close` are
    /// added.
    ///
    /// # Errors
    /// The connection broke.
    pub fn head(&mut self, lines: &[&str]) -> io::Result<()> {
        let (first, headers) = lines.split_first().expect("a request has a first line");
        let mut head = format!("{first} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a chunk of a chunked body; an empty one ends it.
    ///
    /// # Errors
    /// The connection broke.
    pub fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    /// Ends the sending half, in the middle of a request.
    ///
    /// # Errors
    /// The connection broke.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Returns a second handle that sends on the same connection.
    ///
    /// # Errors
    /// The process has no more file descriptors.
    pub fn sender(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Reads the head of the answer.
    ///
    /// # Errors
    /// The connection broke, or what came is not HTTP/1.1.
    pub fn answer(mut self) -> io::Result<WireAnswer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                if lines.first().is_some_and(|first: &String| first.contains(" 100 ")) {
                    lines.clear();
                    continue;
                }
                break;
            }
            lines.push(line.to_owned());
        }
        let status = lines[0].split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {}", lines[0])))?;
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let find = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let framing = if find("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            Framing::Chunked { left: 0, ended: false }
        } else if let Some(length) = find("content-length").and_then(|length| length.parse().ok()) {
            Framing::Length(length)
        } else {
            Framing::UntilClosed
        };
        Ok(WireAnswer { status, headers, framing, reader: self.reader })
    }
}

/// How the end of a body is known.
#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked { left: u64, ended: bool },
    UntilClosed,
}

/// An answer whose body is read as it comes. A body that breaks off is an error ([`io::ErrorKind::UnexpectedEof`]).
#[derive(Debug)]
pub struct WireAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, names in small letters.
    pub headers: Vec<(String, String)>,
    framing: Framing,
    reader: BufReader<TcpStream>,
}

impl WireAnswer {
    /// Returns a header.
    #[must_use]
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// Reads the rest of the body as text.
    ///
    /// # Errors
    /// It breaks off.
    pub fn text(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.read_to_string(&mut text).map(|_| text)
    }

    /// Reads what comes after this answer, after its body: nothing, where the server keeps to one answer.
    ///
    /// # Errors
    /// The connection broke.
    pub fn rest(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).map(|_| bytes)
    }

    fn read_chunk_size(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = line.trim_end().split(';').next().unwrap_or_default();
        u64::from_str_radix(size, 16).map_err(|_| io::Error::other(format!("not the size of a chunk: {line:?}")))
    }
}

impl Read for WireAnswer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = match self.framing {
            Framing::UntilClosed => return self.reader.read(into),
            Framing::Length(left) => left,
            Framing::Chunked { ended: true, .. } => 0,
            Framing::Chunked { left: 0, ended: false } => {
                let left = self.read_chunk_size()?;
                self.framing = Framing::Chunked { left, ended: left == 0 };
                left
            }
            Framing::Chunked { left, ended: false } => left,
        };
        if left == 0 || into.is_empty() {
            return Ok(0);
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let read = self.reader.read(&mut into[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - read as u64;
        match &mut self.framing {
            Framing::Length(length) => *length = left,
            Framing::Chunked { left: chunk, .. } => {
                *chunk = left;
                if left == 0 {
                    // The line end behind the chunk.
                    self.reader.read_line(&mut String::new())?;
                }
            }
            Framing::UntilClosed => {}
        }
        Ok(read)
    }
}
