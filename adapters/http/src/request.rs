//! The parts that requests consist of: query parameters, cursors, media types, trace context and bodies.

pub(crate) mod parameters;
pub(crate) mod page_token;
pub(crate) mod media;
pub(crate) mod traceparent;
pub(crate) mod encoding;
pub(crate) mod host;
pub(crate) mod body;
pub(crate) mod lines;
