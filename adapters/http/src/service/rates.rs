//! `GET /v1/rates`: the counts of the last minutes by interval, for the dashboard's chart.

use hyper::StatusCode;
use serde_json::{Value, json};
use tallyhouse_pipeline::OutcomeCounts;
use warp::reply::Response;

use crate::app::rate_history::{INTERVAL_SECONDS, RateReading};
use crate::app::state::App;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::Problem;

/// Answers with the kept counts.
pub(crate) fn read(app: &App, query: &str) -> Result<Response, Problem> {
    let rates = app.rates.as_ref().ok_or_else(Problem::not_found)?;
    Parameters::none(query)?;
    Ok(json_response(StatusCode::OK, written(&rates.read()).to_string().into_bytes()))
}

fn written(reading: &RateReading) -> Value {
    let RateReading { started_at, end, totals, counts } = reading;
    let column = |of: fn(&OutcomeCounts) -> u64| counts.iter().map(of).collect::<Vec<u64>>();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "startedAt": started_at,
        "totals": totals,
        "intervalSeconds": INTERVAL_SECONDS,
        "end": end,
        "counts": {
            "processed": column(|counts| counts.processed),
            "duplicates": column(|counts| counts.duplicates),
            "conflicts": column(|counts| counts.conflicts),
            "rejected": column(|counts| counts.rejected),
        },
    })
}
