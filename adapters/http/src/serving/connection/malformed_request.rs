//! Malformed HTTP requests, answered with a problem document like every other error.
//!
//! hyper answers them itself, with a bare status, before any service is called. The socket recognises that response and
//! sends a problem in its place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde_json::json;
use tokio::io::AsyncWrite;

use crate::exchange::response::security_headers;
use crate::serving::connection::request_ids::RequestIds;

/// The beginning and the end of hyper's own response. The service's responses have a body, and JSON holds no line break
/// that is not escaped.
const BARE_START: &[u8] = b"HTTP/1.1 4";
const BARE_MEMBER: &[u8] = b"\r\ncontent-length: 0\r\n";
const BARE_END: &[u8] = b"\r\n\r\n";

/// Longest answer that is looked at.
const BARE_LEN_MAX: usize = 256;

/// Puts problems in the place of bare answers.
#[derive(Debug)]
pub(crate) struct MalformedRequests {
    ids: Arc<RequestIds>,
    secure: bool,
    under_way: Option<StandIn>,
}

/// An answer that is being sent in the place of one of `replaced` bytes.
#[derive(Debug)]
struct StandIn {
    bytes: Vec<u8>,
    sent: usize,
    replaced: usize,
}

impl MalformedRequests {
    pub(crate) fn new(ids: Arc<RequestIds>, secure: bool) -> Self {
        Self { ids, secure, under_way: None }
    }

    /// Sends another answer in the place of `buf`, if `buf` is a bare one; `None` if it is anything else.
    pub(crate) fn poll_write(
        &mut self,
        mut socket: Pin<&mut (impl AsyncWrite + Unpin)>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.under_way.is_none() && !is_bare(buf) {
            return None;
        }
        let stand_in = self.under_way.get_or_insert_with(|| StandIn {
            bytes: problem(buf, self.ids.make().to_str().unwrap_or_default(), self.secure),
            sent: 0,
            replaced: buf.len(),
        });
        Some(stand_in.poll(socket.as_mut(), cx).map_ok(|replaced| {
            self.under_way = None;
            replaced
        }))
    }
}

impl StandIn {
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

/// Writes the problem that belongs to a bare answer, with the same status.
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
