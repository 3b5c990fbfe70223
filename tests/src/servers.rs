//! Real servers and the real service: on free ports, in temporary folders, gone when dropped.

pub mod postgres;
pub mod plain_password;
pub mod redis_server;
pub mod prometheus;
pub mod collector;
pub mod certificates;
pub mod proxy;
pub mod memory_group;
pub mod service;
pub mod fleet;
