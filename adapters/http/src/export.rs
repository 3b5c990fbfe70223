//! `GET /v1/export`: every record that matches, of one moment, in the order of processing, streamed.

use std::sync::Arc;

use futures::StreamExt;
use hyper::header::HeaderMap;
use tallyhouse_core::{ExportPage, PartStream, ProcessedRecord, RECORD_COLUMNS, export, write_record_row, write_row};
use warp::reply::Response;

use crate::app::App;
use crate::form::Form;
use crate::front::RequestContext;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::stream::{self, Broken, Outlet};

/// Answers with a record a line: NDJSON, or CSV to who prefers it.
pub(crate) async fn read(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let filter = Parameters::read_with_filter(query, &[])?.filter()?;
    let form = match Form::accepted(headers, Form::Ndjson) {
        Form::Csv => Form::Csv,
        Form::Json | Form::Ndjson => Form::Ndjson,
    };
    let slot = app.aggregates.take().await?;
    let pages = export(Arc::clone(&app.http.repository), filter).await?.pages;
    let patience = app.settings.stall_timeout;
    let mut response = stream::answer(form.media_type(), patience, context, move |outlet| async move {
        let _slot = slot;
        write(outlet, form, pages).await
    });
    form.dress(&mut response);
    Ok(response)
}

async fn write(mut outlet: Outlet, form: Form, mut pages: PartStream<ExportPage>) -> Result<Outlet, Broken> {
    let mut piece = Vec::new();
    if form == Form::Csv {
        write_row(&mut piece, RECORD_COLUMNS);
    }
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            // Work for nobody is not gone on with.
            () = outlet.gone() => return Err(Broken::Gone),
        };
        let Some(page) = page else { break };
        for stored in page?.records {
            write_record(&mut piece, form, &stored.processed);
            outlet.send_if_large(&mut piece).await?;
        }
    }
    outlet.send(piece).await?;
    Ok(outlet)
}

fn write_record(piece: &mut Vec<u8>, form: Form, record: &ProcessedRecord) {
    match form {
        Form::Csv => write_record_row(piece, record),
        Form::Json | Form::Ndjson => {
            serde_json::to_writer(&mut *piece, record).expect("a record is always JSON");
            piece.push(b'\n');
        }
    }
}
