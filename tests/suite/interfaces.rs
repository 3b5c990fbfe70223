//! What others build on: the documents of the interfaces, clients, the dashboard.

pub(crate) mod description;
mod openapi;
mod asyncapi;
mod schemathesis;
mod clients;
mod redpanda_connect;
mod browser;
