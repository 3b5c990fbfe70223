//! `GET /openapi.json`: the description of the API.

use std::sync::LazyLock;

use hyper::header::HeaderMap;
use warp::reply::Response;

use crate::openapi::openapi;
use crate::service::pages::Asset;

/// The document, written at the first request and then kept.
static DOCUMENT: LazyLock<Asset> = LazyLock::new(|| Asset::generated("application/json", openapi().leak().as_bytes()));

/// Answers with the document.
pub(crate) fn read(headers: &HeaderMap) -> Response {
    DOCUMENT.answer(headers)
}
