//! Conditional reads (RFC 9110, section 13): whether what a client has is still what it would get.
//!
//! What is answered to a question follows from the question and from the records up to some position: no record is
//! changed after it was stored, and none is stored at a position that a reader has passed. So the last position, read
//! **before** the answer is begun, is a validator: as long as it is still the last one, the answer holds all there is.
//! The answer itself may hold more, if records came while it was made; but then that position is the last one no
//! longer.

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use tallyhouse_pipeline::ports::{HistoryQuery, PortError, RecordReader};
use warp::reply::{Reply, Response};

use crate::answer::format::Format;
use crate::answer::json::json_response;

/// A client may keep the answer for itself, and asks each time whether it is still good.
const CACHE: &str = "private, no-cache";

/// Makes the validator of what a question would be answered with now. `question` is its path and query, as they came.
///
/// The last record is part of it, and not its position alone: a database that was restored from a backup comes to the
/// same position again with other records.
///
/// # Errors
/// The store can't answer now.
pub(crate) async fn version(reader: &dyn RecordReader, question: &str, form: Format) -> Result<HeaderValue, PortError> {
    let head = reader.head().await?;
    let mut hasher = blake3::Hasher::new();
    // What another version of the program writes may look different.
    for text in [env!("CARGO_PKG_VERSION"), form.media_type(), question] {
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
    // Two answers with one validator may differ by records that came while they were made: it is a weak one.
    Ok(HeaderValue::try_from(format!("W/\"{}\"", &hash[..32])).expect("hexadecimal digits are fit for a header"))
}

/// ResponseCache with JSON that is there as a whole, or says that the client has it. Its validator is the hash of its bytes.
pub(crate) fn json(headers: &HeaderMap, json: Vec<u8>) -> Response {
    let hash = blake3::hash(&json).to_hex();
    let tag = HeaderValue::try_from(format!("\"{}\"", &hash[..32])).expect("hexadecimal digits are fit for a header");
    if is_known(headers, &tag) {
        return not_modified(tag);
    }
    let mut response = json_response(StatusCode::OK, json);
    mark(&mut response, tag);
    response
}

/// ResponseCache as [`json`] does, in the form that was chosen.
pub(crate) fn formed(headers: &HeaderMap, form: Format, body: Vec<u8>) -> Response {
    let mut response = json(headers, body);
    if response.status() == StatusCode::OK {
        form.dress(&mut response);
    }
    response
}

/// Says that what the client has is still good.
pub(crate) fn not_modified(tag: HeaderValue) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    mark(&mut response, tag);
    response
}

/// Says on an answer what its validator is.
pub(crate) fn mark(response: &mut Response, tag: HeaderValue) {
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
}

/// Says whether a client has what bears this tag. Which tags are weak makes no difference here (RFC 9110, section
/// 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let Ok(ours) = tag.to_str().map(opaque) else { return false };
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut theirs = lists.flat_map(|list| list.split(',')).map(str::trim);
    theirs.any(|theirs| theirs == "*" || opaque(theirs) == ours)
}

#[cfg(test)]
mod tests;
