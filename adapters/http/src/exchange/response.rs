//! The parts of responses: problems, headers, formats, validators and streamed bodies.

pub(crate) mod problem;
pub(crate) mod json;
pub(crate) mod security_headers;
pub(crate) mod format;
pub(crate) mod conditional;
pub(crate) mod response_cache;
pub(crate) mod stream;
