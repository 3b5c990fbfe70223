//! A running service, a store that can be made to fail, and clients that send arbitrary bytes.

pub(crate) mod raw;
pub(crate) mod raw_http2;
pub(crate) mod service;
pub(crate) mod store;
