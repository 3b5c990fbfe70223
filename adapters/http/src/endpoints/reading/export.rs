//! `GET /v1/export`: every matching record as of one moment, in processing order, streamed.

use futures::StreamExt;
use hyper::header::HeaderMap;
use tallyhouse_pipeline::ports::PartStream;
use tallyhouse_pipeline::{ExportPage, ProcessedRecord, RECORD_COLUMNS, export, write_record_row, write_row};
use tokio::time::Instant;
use warp::reply::Response;

use crate::app::state::App;
use crate::exchange::context::RequestContext;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::format::Format;
use crate::exchange::response::problem::Problem;
use crate::exchange::response::stream::{self, BodyWriter, Broken};

/// Answers with one record a line: NDJSON, or CSV where the client prefers it.
pub(crate) async fn read(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let filter = Parameters::read_with_filter(query, &[])?.filter()?;
    let format = match Format::accepted(headers, Format::Ndjson) {
        Format::Csv => Format::Csv,
        Format::Json | Format::Ndjson => Format::Ndjson,
    };
    let permit = app.aggregates.try_acquire(&context.caller).await?;
    let deadline = Instant::now() + app.settings.snapshot_age_max;
    let pages = export(app.reader(&context.caller), filter).await?.pages;
    let stall_timeout = app.settings.stall_timeout;
    let mut response = stream::answer(format.media_type(), stall_timeout, context, move |body_writer| async move {
        let _permit = permit;
        stream::within(deadline, write(body_writer, format, pages)).await
    });
    format.set_headers(&mut response);
    Ok(response)
}

async fn write(
    mut body_writer: BodyWriter,
    format: Format,
    mut pages: PartStream<ExportPage>,
) -> Result<BodyWriter, Broken> {
    let mut piece = Vec::new();
    if format == Format::Csv {
        write_row(&mut piece, RECORD_COLUMNS);
    }
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            // If the client has gone, the rest of the work would be wasted.
            () = body_writer.closed() => return Err(Broken::Disconnected),
        };
        let Some(page) = page else { break };
        for stored in page?.records {
            write_record(&mut piece, format, &stored.processed);
            body_writer.send_if_large(&mut piece).await?;
        }
    }
    body_writer.send(piece).await?;
    Ok(body_writer)
}

fn write_record(piece: &mut Vec<u8>, format: Format, record: &ProcessedRecord) {
    match format {
        Format::Csv => write_record_row(piece, record),
        Format::Json | Format::Ndjson => {
            serde_json::to_writer(&mut *piece, record).expect("a record is always JSON");
            piece.push(b'\n');
        }
    }
}
