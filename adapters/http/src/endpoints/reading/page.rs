//! Pages: how a response points to the next one.

use hyper::StatusCode;
use hyper::header::LINK;
use warp::reply::Response;

use crate::exchange::request::parameters::Parameters;

/// Points to the next page, unless the client has this one, and with it the way to the next.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, cursor: &str) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    response.headers_mut().insert(LINK, parameters.next_link(cursor));
}
