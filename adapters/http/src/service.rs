//! The operational endpoints: health, readiness, metrics, and the pages for people.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod rates;
pub(crate) mod pages;
pub(crate) mod openapi_document;
