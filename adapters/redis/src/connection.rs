//! Reaching Redis: addresses, connections, and the scripts that run over them.

pub(crate) use address::Address;
pub(crate) use pool::{Connection, Connector, SharedConnection};
pub(crate) use script::{Script, calls};

mod address;
mod pool;
mod script;
