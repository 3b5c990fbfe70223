//! A response from serialized JSON.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

/// Makes a response of JSON.
pub(crate) fn json_response(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = json.into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
