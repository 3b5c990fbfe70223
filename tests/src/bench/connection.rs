//! HTTP/1.1 on a connection that is kept, as cheap as it can be: the sender shares two processors with what it
//! measures.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most headers that an answer may have.
const HEADERS_MAX: usize = 32;

/// Room for answers: most fit at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// How long a connection may rest: less than the service allows.
const REST_MAX: Duration = Duration::from_secs(5);

/// A connection to the service.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are there and have not been used.
    filled: usize,
    used: Instant,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Whether the head said when to come again.
    pub retry_after: bool,
    /// Bytes of the body, as it was sent: with chunks' heads.
    pub body_bytes: u64,
}

/// What the head of an answer says.
struct Head {
    answer: Answer,
    head_bytes: usize,
    framing: Framing,
    closes: bool,
}

enum Framing {
    Length(u64),
    Chunked,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: vec![0; BUFFER_BYTES], filled: 0, used: Instant::now() })
    }

    /// Sends a whole request and reads the whole answer. A connection that has rested for long is made anew before, as
    /// pools of connections do, because the service may have closed it.
    ///
    /// # Errors
    /// The connection broke, or what came is not HTTP/1.1. The connection is of no more use.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        if self.used.elapsed() > REST_MAX {
            *self = Self::open(self.address).await?;
        }
        // Both at once: a service that answers while it reads must not wait for a client that does not.
        let (mut reader, mut writer) = self.stream.split();
        let writing = writer.write_all(request);
        let reading = read_answer(&mut reader, &mut self.buffer, &mut self.filled);
        let ((), (answer, closes)) = tokio::try_join!(writing, reading)?;
        self.used = Instant::now();
        if closes {
            *self = Self::open(self.address).await?;
        }
        Ok(answer)
    }
}

async fn read_answer(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    filled: &mut usize,
) -> io::Result<(Answer, bool)> {
    let head = loop {
        if let Some(head) = Head::parse(&buffer[..*filled])? {
            break head;
        }
        fill(reader, buffer, filled).await?;
    };
    buffer.copy_within(head.head_bytes..*filled, 0);
    *filled -= head.head_bytes;
    let mut answer = head.answer;
    match head.framing {
        Framing::Length(length) => answer.body_bytes = skip(reader, buffer, filled, length).await?,
        Framing::Chunked => loop {
            let (size, line) = loop {
                match httparse::parse_chunk_size(&buffer[..*filled]) {
                    Ok(httparse::Status::Complete((line, size))) => break (size, line),
                    Ok(httparse::Status::Partial) => fill(reader, buffer, filled).await?,
                    Err(error) => return Err(io::Error::other(format!("no size of a chunk: {error:?}"))),
                }
            };
            // The line with the size, the chunk, and the line end behind it.
            answer.body_bytes += skip(reader, buffer, filled, line as u64 + size + 2).await?;
            if size == 0 {
                break;
            }
        },
    }
    Ok((answer, head.closes))
}

async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>, filled: &mut usize) -> io::Result<()> {
    if *filled == buffer.len() {
        buffer.resize(2 * buffer.len(), 0);
    }
    match reader.read(&mut buffer[*filled..]).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            *filled += read;
            Ok(())
        }
    }
}

/// Reads this many bytes and forgets them.
async fn skip(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    filled: &mut usize,
    bytes: u64,
) -> io::Result<u64> {
    let mut left = bytes;
    loop {
        let here = (*filled).min(usize::try_from(left).unwrap_or(usize::MAX));
        buffer.copy_within(here..*filled, 0);
        *filled -= here;
        left -= here as u64;
        if left == 0 {
            return Ok(bytes);
        }
        fill(reader, buffer, filled).await?;
    }
}

impl Head {
    /// Reads a head as far as it is there; none, if it is not there to its end.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let status = parsed.parse(bytes).map_err(|error| io::Error::other(format!("not HTTP/1.1: {error}")))?;
        let (httparse::Status::Complete(head_bytes), Some(code)) = (status, parsed.code) else { return Ok(None) };
        let find = |wanted: &str| {
            let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(wanted))?;
            std::str::from_utf8(header.value).ok()
        };
        let framing = match find("content-length").map(str::parse) {
            Some(length) => Framing::Length(length.map_err(io::Error::other)?),
            None if find("transfer-encoding") == Some("chunked") => Framing::Chunked,
            None => Framing::Length(0),
        };
        let closes = find("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let answer = Answer { status: code, retry_after: find("retry-after").is_some(), body_bytes: 0 };
        Ok(Some(Self { answer, head_bytes, framing, closes }))
    }
}
