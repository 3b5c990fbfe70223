//! Parses the parts of a request: query parameters, page tokens, media types, trace context, body.

pub(crate) mod parameters;
pub(crate) mod page_token;
pub(crate) mod media;
pub(crate) mod traceparent;
pub(crate) mod content_encoding;
pub(crate) mod host;
pub(crate) mod body;
pub(crate) mod lines;
