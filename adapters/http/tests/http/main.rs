//! The HTTP door, over real sockets, before a repository in memory that can be made to fail.

mod service;
mod raw;
mod store;

mod writes;
