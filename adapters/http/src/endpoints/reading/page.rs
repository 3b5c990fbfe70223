//! Pages: whether a next page exists, and the link to it.

use hyper::StatusCode;
use hyper::header::LINK;
use tallyhouse_pipeline::ports::PAGE_WEIGHT_MAX;
use warp::reply::Response;

use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::problem::Problem;

/// Links to the next page, unless the response is a `304`: the client's copy has the link.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, cursor: &str) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    response.headers_mut().insert(LINK, parameters.next_link(cursor));
}

/// Cuts the rows to `limit`. Returns whether there are more. That is so if one row more was read; or if the store ended
/// a heavy page early, and `beyond` finds a row after the last.
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
