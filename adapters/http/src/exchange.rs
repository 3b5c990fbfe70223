//! One request and its response: context, parsing, answers, and what is observed of them.

pub(crate) mod context;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod observe;
