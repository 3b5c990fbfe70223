//! Clients that see what users see.

pub mod http;
pub mod wire;
pub mod sse;
pub mod lines;
pub mod subscriber;
pub mod scrape;
