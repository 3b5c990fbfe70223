//! Records: one by `GET /v1/records/{recordId}`, pages by `GET /v1/records`.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::ports::Page;
use tallyhouse_pipeline::{
    Alerting, RECORD_COLUMNS, RecordId, RecordOrder, RecordQuery, StoredRecord, write_record_row, write_row,
};
use warp::reply::Response;

use crate::app::state::App;
use crate::endpoints::reading::page::set_next;
use crate::exchange::context::RequestContext;
use crate::exchange::request::page_token::PageToken;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::conditional;
use crate::exchange::response::format::Format;
use crate::exchange::response::problem::{Problem, ProblemCode};

/// The orders of pages.
const ORDERS: [(&str, RecordOrder); 2] = [("oldest", RecordOrder::OldestFirst), ("newest", RecordOrder::NewestFirst)];

/// `GET /v1/records/{recordId}`.
pub(crate) async fn read_one(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
    id: &str,
) -> Result<Response, Problem> {
    Parameters::none(query)?;
    let missing = || Problem::new(ProblemCode::NotFound, "There is no record with this id.");
    // No record has an invalid id.
    let id = RecordId::new(id).map_err(|_| missing())?;
    let stored = app.reader(&context.caller).find(&id).await?.ok_or_else(missing)?;
    Ok(conditional::json(headers, serde_json::to_vec(&stored).expect("a record is always JSON")))
}

/// `GET /v1/records`.
pub(crate) async fn read_page(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let parameters = Parameters::read_with_filter(query, &["alerting", "rule", "order", "limit", "cursor"])?;
    let limit = parameters.limit()?;
    let after = parameters.parsed("cursor", PageToken::record)?;
    let (filter, alerting) = (parameters.filter()?, alerting(&parameters)?);
    let order = parameters.one_of("order", &ORDERS)?.unwrap_or_default();
    let query = RecordQuery { filter, alerting, order, after, limit };
    let Page { rows: records, more } = app.reader(&context.caller).records(query).await?;

    let format = Format::accepted(headers, Format::Json);
    let next = records.last().filter(|_| more).map(|last| {
        let record = &last.processed.record;
        PageToken::Record(record.time, record.record_id.clone()).write()
    });
    let mut response = conditional::in_format(headers, format, write_page(format, &records, next.as_deref()));
    if let Some(cursor) = next {
        set_next(&mut response, &parameters, &cursor);
    }
    Ok(response)
}

/// Reads the selection by alert rules that records met.
fn alerting(parameters: &Parameters) -> Result<Option<Alerting>, Problem> {
    let any = parameters.one_of("alerting", &[("true", true)])?.unwrap_or(false);
    let rule = parameters.parsed("rule", |name| Alerting::by_name(name).ok_or("must be the name of an alert rule"))?;
    Ok(rule.or(any.then_some(Alerting::Any)))
}

fn write_page(format: Format, records: &[StoredRecord], next: Option<&str>) -> Vec<u8> {
    let mut page = Vec::new();
    match format {
        Format::Json => {
            page.extend_from_slice(b"{\"records\":");
            serde_json::to_writer(&mut page, records).expect("records are always JSON");
            page.extend_from_slice(b",\"next\":");
            serde_json::to_writer(&mut page, &next).expect("a cursor is always JSON");
            page.push(b'}');
        }
        Format::Ndjson => records.iter().for_each(|record| {
            serde_json::to_writer(&mut page, record).expect("a record is always JSON");
            page.push(b'\n');
        }),
        Format::Csv => {
            write_row(&mut page, RECORD_COLUMNS);
            records.iter().for_each(|record| write_record_row(&mut page, &record.processed));
        }
    }
    page
}
