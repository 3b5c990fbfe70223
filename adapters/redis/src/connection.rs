//! Connections to Redis: addresses, connecting, and Lua scripts.

pub(crate) use address::Address;
pub(crate) use connector::{Connection, Connector, SharedConnection};
pub(crate) use script::{Script, calls};

mod address;
mod connector;
mod script;
