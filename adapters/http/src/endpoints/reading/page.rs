//! Pages: how a response points to the next one.

use hyper::StatusCode;
use hyper::header::LINK;
use warp::reply::Response;

use crate::exchange::request::parameters::Parameters;

/// Links to the next page, unless the response is a `304`: the client's copy has the link.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, cursor: &str) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    response.headers_mut().insert(LINK, parameters.next_link(cursor));
}
