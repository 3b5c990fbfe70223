//! Malformed HTTP requests, answered with a problem document like every other error.
//!
//! hyper answers such requests itself, with a bare status, before any service is called. The socket recognises hyper's
//! response and sends a problem in its place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde_json::json;
use tokio::io::AsyncWrite;

use crate::exchange::response::security_headers;
use crate::serving::connection::request_ids::RequestIds;

/// The beginning, a header and the end of hyper's own response. No response of the service matches: it has a body, and
/// JSON holds no unescaped line break.
const BARE_START: &[u8] = b"HTTP/1.1 4";
const BARE_MEMBER: &[u8] = b"\r\ncontent-length: 0\r\n";
const BARE_END: &[u8] = b"\r\n\r\n";

/// Longest response that is compared with hyper's.
const BARE_LEN_MAX: usize = 256;

/// Replaces bare responses by problems.
#[derive(Debug)]
pub(crate) struct MalformedRequests {
    ids: Arc<RequestIds>,
    secure: bool,
    replacement: Option<Replacement>,
}

/// A response that is being sent in the place of a bare one of `replaced` bytes.
#[derive(Debug)]
struct Replacement {
    bytes: Vec<u8>,
    sent: usize,
    replaced: usize,
}

impl MalformedRequests {
    pub(crate) fn new(ids: Arc<RequestIds>, secure: bool) -> Self {
        Self { ids, secure, replacement: None }
    }

    /// Sends a problem in the place of `buf`, if `buf` is a bare response; `None` if it is not.
    pub(crate) fn poll_write(
        &mut self,
        mut socket: Pin<&mut (impl AsyncWrite + Unpin)>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.replacement.is_none() && !is_bare(buf) {
            return None;
        }
        let replacement = self.replacement.get_or_insert_with(|| Replacement {
            bytes: problem(buf, self.ids.make().to_str().unwrap_or_default(), self.secure),
            sent: 0,
            replaced: buf.len(),
        });
        Some(replacement.poll(socket.as_mut(), cx).map_ok(|replaced| {
            self.replacement = None;
            replaced
        }))
    }
}

impl Replacement {
    fn poll(
        &mut self,
        mut socket: Pin<&mut (impl AsyncWrite + Unpin)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while let Some(rest @ [_, ..]) = self.bytes.get(self.sent..) {
            let sent = ready!(socket.as_mut().poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        Poll::Ready(Ok(self.replaced))
    }
}

fn is_bare(buf: &[u8]) -> bool {
    buf.starts_with(BARE_START)
        && buf.len() <= BARE_LEN_MAX
        && buf.ends_with(BARE_END)
        && buf.windows(BARE_MEMBER.len()).any(|window| window == BARE_MEMBER)
}

/// Writes the problem for a bare response, with the same status.
fn problem(bare: &[u8], request_id: &str, secure: bool) -> Vec<u8> {
    let line = bare.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(400_u16);
    let (code, title, detail) = match status {
        414 | 431 => ("too-large", "Too large", "The head of the request is too large."),
        _ => ("bad-parameter", "Bad parameter", "The request is not well-formed HTTP."),
    };
    let body = json!({
        "type": format!("urn:tallyhouse:problem:{code}"), "title": title, "status": status, "detail": detail,
    });
    let body = body.to_string();
    let headers: String = security_headers::all(secure).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{line}\r\ncontent-type: application/problem+json\r\nx-request-id: {request_id}\r\n{headers}\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
