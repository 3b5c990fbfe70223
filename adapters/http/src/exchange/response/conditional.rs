//! Conditional reads (RFC 9110, section 13): whether a client's copy is still current.
//!
//! A response is a function of the query and of the records up to some position: records never change, and none is
//! stored at a position that readers have passed. So the head position, read **before** the response is made, is a
//! validator: while it is still the head, the response is complete. Records that come while the response is made may be
//! in it; but then that position is no longer the head.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use tallyhouse_pipeline::ports::{HistoryQuery, PortError, RecordReader};
use warp::reply::{Reply, Response};

use crate::exchange::response::format::Format;
use crate::exchange::response::json::json_response;

/// Only the client itself may cache the response, and it revalidates it before each use.
const CACHE: &str = "private, no-cache";

/// Makes the validator of the response to a query, as of now. `query` is the query as it was sent.
///
/// It covers the last record as well as its position: a database that was restored from a backup may reach the same
/// position with other records.
///
/// # Errors
/// The store can't answer now.
pub(crate) async fn version(reader: &dyn RecordReader, query: &str, format: Format) -> Result<HeaderValue, PortError> {
    let head = reader.head().await?;
    let mut hasher = blake3::Hasher::new();
    // Another version of the program may write the same data differently.
    for text in [env!("CARGO_PKG_VERSION"), format.media_type(), query] {
        hasher.update(text.as_bytes()).update(&[0]);
    }
    hasher.update(&head.to_le_bytes());
    if let Some(before) = head.checked_sub(1) {
        let last = HistoryQuery { after: before, alerting_only: false, limit: 1 };
        for (_, stored) in reader.history(last).await? {
            let processed = &stored.processed;
            hasher.update(processed.record.record_id.as_str().as_bytes());
            hasher.update(&processed.processed_at.as_micros().to_le_bytes());
        }
    }
    let hash = hasher.finalize().to_hex();
    // A weak validator: two responses with the same validator may differ by records that came while they were made.
    Ok(HeaderValue::try_from(format!("W/\"{}\"", &hash[..32])).expect("hexadecimal digits are fit for a header"))
}

/// Makes a response of JSON, or `304` if the client has it. Its validator is the hash of its bytes.
pub(crate) fn json(headers: &HeaderMap, json: Vec<u8>) -> Response {
    let hash = blake3::hash(&json).to_hex();
    let tag = HeaderValue::try_from(format!("\"{}\"", &hash[..32])).expect("hexadecimal digits are fit for a header");
    if has_current_copy(headers, &tag) {
        return not_modified(tag);
    }
    let mut response = json_response(StatusCode::OK, json);
    set_etag(&mut response, tag);
    response
}

/// Makes a response as [`json`] does, in the negotiated format.
pub(crate) fn in_format(headers: &HeaderMap, format: Format, body: Vec<u8>) -> Response {
    let mut response = json(headers, body);
    if response.status() == StatusCode::OK {
        format.set_headers(&mut response);
    }
    response
}

/// Makes the `304` response: the client's copy is current.
pub(crate) fn not_modified(tag: HeaderValue) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set_etag(&mut response, tag);
    response
}

/// Sets the validator of a response.
pub(crate) fn set_etag(response: &mut Response, tag: HeaderValue) {
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
}

/// Whether a client has a copy with this tag. Weak and strong tags compare alike here (RFC 9110, section 13.1.2).
pub(crate) fn has_current_copy(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let Ok(ours) = tag.to_str().map(opaque) else { return false };
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut theirs = lists.flat_map(|list| list.split(',')).map(str::trim);
    theirs.any(|theirs| theirs == "*" || opaque(theirs) == ours)
}

#[cfg(test)]
mod tests;
