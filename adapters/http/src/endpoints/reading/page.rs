//! Pages: whether there is a next one, and how a response points to it.

use hyper::StatusCode;
use hyper::header::LINK;
use tallyhouse_pipeline::ports::PAGE_WEIGHT_MAX;
use warp::reply::Response;

use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::problem::Problem;

/// Points to the next page, unless the client has this one, and with it the way to the next.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, cursor: &str) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    response.headers_mut().insert(LINK, parameters.next_link(cursor));
}

/// Cuts what was read to the rows that were asked for. Returns whether there are more: one row more was read, or the store
/// ended the page early because it is heavy, and `beyond` its last row there is another.
pub(crate) async fn cut<T>(
    rows: &mut Vec<T>,
    limit: usize,
    weight: impl Fn(&T) -> usize,
    beyond: impl AsyncFnOnce(&T) -> Result<bool, Problem>,
) -> Result<bool, Problem> {
    if rows.len() > limit {
        rows.truncate(limit);
        return Ok(true);
    }
    match rows.last() {
        Some(last) if rows.iter().map(weight).sum::<usize>() >= PAGE_WEIGHT_MAX => beyond(last).await,
        Some(_) | None => Ok(false),
    }
}
