//! `GET /v1/summaries/{destinationId}`: the running summary of each reference of a destination.

use hyper::header::HeaderMap;
use serde::Serialize;
use tallyhouse_pipeline::ports::Page;
use tallyhouse_pipeline::{DestinationId, Reference, Summary, SummaryQuery};
use warp::reply::Response;

use crate::app::state::App;
use crate::endpoints::reading::page::set_next;
use crate::exchange::context::RequestContext;
use crate::exchange::request::page_token::PageToken;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::conditional;
use crate::exchange::response::problem::Problem;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummariesPage<'a> {
    destination_id: &'a DestinationId,
    summaries: Vec<Entry<'a>>,
    /// The cursor of the next page; null at the end.
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    reference: &'a Reference,
    /// The sequence of the last record, which is the count of the running summary.
    sequence: u64,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// Answers the query. A destination without records has no summaries.
pub(crate) async fn read(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
    destination: &str,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query, &["reference", "limit", "cursor"])?;
    let limit = parameters.limit()?;
    let destination_id =
        DestinationId::new(destination).map_err(|reason| Problem::parameter("destinationId", reason))?;
    let query = SummaryQuery {
        destination_id: destination_id.clone(),
        reference: parameters.parsed("reference", Reference::new)?,
        after: parameters.parsed("cursor", PageToken::summary)?,
        limit,
    };
    let Page { rows: found, more } = app.reader(&context.caller).summaries(query).await?;

    let summaries =
        found.iter().map(|(reference, summary)| Entry { reference, sequence: summary.count(), summary }).collect();
    let next = found.last().filter(|_| more).map(|(reference, _)| PageToken::Summary(reference.clone()).write());
    let page = SummariesPage { destination_id: &destination_id, summaries, next: next.as_deref() };
    let mut response = conditional::json(headers, serde_json::to_vec(&page).expect("summaries are always JSON"));
    if let Some(cursor) = next {
        set_next(&mut response, &parameters, &cursor);
    }
    Ok(response)
}
