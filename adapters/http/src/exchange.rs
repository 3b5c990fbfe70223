//! One request and its response: context, parsing, responses, and observability.

pub(crate) mod context;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod observe;
