//! `GET /v1/aggregates`: groups with their totals and records, streamed from one snapshot.

use std::sync::Arc;

use futures::StreamExt;
use hyper::header::{HeaderMap, LINK};
use serde::Serialize;
use tallyhouse_pipeline::ports::{GroupPart, PartStream};
use tallyhouse_pipeline::{DestinationId, GroupQuery, Summary, TOTAL_COLUMNS, write_row, write_total_rows};
use tokio::time::Instant;
use warp::reply::{Reply as _, Response};

use crate::app::state::App;
use crate::exchange::context::RequestContext;
use crate::exchange::request::page_token::PageToken;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::conditional;
use crate::exchange::response::format::Format;
use crate::exchange::response::problem::Problem;
use crate::exchange::response::response_cache::CachedResponse;
use crate::exchange::response::stream::{self, BodyWriter, Broken, PIECE_BYTES};

/// Greatest `limit` on groups; without `limit` all groups are sent.
pub(crate) const LIMIT_MAX: usize = u32::MAX as usize;

/// Answers the query. In NDJSON each group is a line; rows of CSV hold the totals alone.
pub(crate) async fn read(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let parameters = Parameters::read_with_filter(query, &["records", "limit", "cursor"])?;
    let format = Format::accepted(headers, Format::Json);
    let listed = parameters.one_of("records", &[("true", true), ("false", false)])?;
    if format == Format::Csv && listed == Some(true) {
        return Err(Problem::parameter("records", "must not be true for CSV, whose rows are totals; see /v1/export"));
    }
    let records = listed.unwrap_or(format != Format::Csv);
    let cache_key = query;
    let query = GroupQuery {
        filter: parameters.filter()?,
        after: parameters.parsed("cursor", PageToken::group)?,
        limit: parameters.limit_to(LIMIT_MAX)?,
        records,
    };
    let reader = app.reader(&context.caller);
    let tag = conditional::version(&*reader, cache_key, format).await?;
    if conditional::has_current_copy(headers, &tag) {
        return Ok(conditional::not_modified(tag));
    }
    let cache_key = format!("{}?{cache_key}", format.media_type());
    // Responses with records are never cached.
    let cached = if records { None } else { app.response_cache.get(&cache_key, &tag) };
    if let Some(cached) = cached {
        return Ok(cached_response(cached, format));
    }
    let permit = app.aggregates.try_acquire(&context.caller).await?;
    let deadline = Instant::now() + app.settings.snapshot_age_max;
    let groups = reader.groups(query).await?;

    let parts = groups.parts;
    let next = groups.next.map(|last| PageToken::Group(last).write());
    let link = next.as_deref().map(|cursor| parameters.next_link(cursor));
    let keep = (!records).then(|| (Arc::clone(&app.response_cache), cache_key, tag.clone(), link.clone()));
    let mut response =
        stream::answer(format.media_type(), app.settings.stall_timeout, context, move |body_writer| async move {
            let _permit = permit;
            let body_writer = match &keep {
                Some((cache, ..)) => body_writer.copying(cache.length_max()),
                None => body_writer,
            };
            let writer =
                Writer { body_writer, format, records, next, piece: Vec::new(), group: None, groups: 0, total: 0 };
            let mut body_writer = stream::within(deadline, writer.write(parts)).await?;
            if let Some((cache, cache_key, tag, link)) = keep
                && let Some(body) = body_writer.copied()
            {
                cache.put(cache_key, CachedResponse { tag, body, link });
            }
            Ok(body_writer)
        });
    format.set_headers(&mut response);
    conditional::set_etag(&mut response, tag);
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Sends a cached response.
fn cached_response(cached: CachedResponse, format: Format) -> Response {
    let mut response = cached.body.to_vec().into_response();
    format.set_headers(&mut response);
    conditional::set_etag(&mut response, cached.tag);
    if let Some(link) = cached.link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

/// Writes groups as they come.
struct Writer {
    body_writer: BodyWriter,
    format: Format,
    records: bool,
    /// The cursor of the next page.
    next: Option<String>,
    /// The bytes to send next.
    piece: Vec<u8>,
    /// The current group.
    group: Option<Group>,
    groups: u64,
    /// Records in all groups so far.
    total: u64,
}

/// A group whose records are being written.
struct Group {
    /// How many records its totals count.
    expected: u64,
    written: u64,
}

impl Writer {
    async fn write(mut self, mut parts: PartStream<GroupPart>) -> Result<BodyWriter, Broken> {
        match self.format {
            Format::Json => self.piece.extend_from_slice(b"{\"groups\":["),
            Format::Ndjson => {}
            Format::Csv => write_row(&mut self.piece, TOTAL_COLUMNS),
        }
        loop {
            let part = tokio::select! {
                part = parts.next() => part,
                // If the client has gone, the rest of the work would be wasted, however long the next part takes.
                () = self.body_writer.closed() => return Err(Broken::Disconnected),
            };
            match part {
                None => break,
                Some(part) => self.part(part?).await?,
            }
        }
        self.end_group()?;
        if self.format == Format::Json {
            self.piece.extend_from_slice(
                format!("],\"groupCount\":{},\"recordCount\":{},\"next\":", self.groups, self.total).as_bytes(),
            );
            write_json(&mut self.piece, &self.next);
            self.piece.push(b'}');
        }
        self.body_writer.send(self.piece).await?;
        Ok(self.body_writer)
    }

    async fn part(&mut self, part: GroupPart) -> Result<(), Broken> {
        match part {
            GroupPart::Group(destination_id, summary) => {
                self.end_group()?;
                match self.format {
                    Format::Json | Format::Ndjson => self.begin_group(&destination_id, &summary),
                    Format::Csv => write_total_rows(&mut self.piece, &destination_id, &summary),
                }
                self.body_writer.send_if_large(&mut self.piece).await
            }
            GroupPart::Records(records) => {
                for record in &records {
                    // Records without a group are a fault of the store.
                    let group = self.group.as_mut().ok_or(Broken::Inexact)?;
                    if group.written > 0 {
                        self.piece.push(b',');
                    }
                    group.written += 1;
                    write_json(&mut self.piece, record);
                    self.body_writer.send_if_large(&mut self.piece).await?;
                }
                Ok(())
            }
        }
    }

    fn begin_group(&mut self, destination_id: &DestinationId, summary: &Summary) {
        if self.format == Format::Json && self.groups > 0 {
            self.piece.push(b',');
        }
        self.groups += 1;
        self.total += summary.count();
        self.piece.reserve(PIECE_BYTES / 32);
        self.piece.extend_from_slice(b"{\"destinationId\":");
        write_json(&mut self.piece, destination_id);
        // The members of the summary join those of the group: its opening brace becomes the comma between them.
        let joint = self.piece.len();
        write_json(&mut self.piece, summary);
        self.piece[joint] = b',';
        self.piece.pop();
        if self.records {
            self.piece.extend_from_slice(b",\"records\":[");
        }
        self.group = Some(Group { expected: summary.count(), written: 0 });
    }

    /// Ends the group. Fails if it has another number of records than its totals count, which is a fault of the store.
    fn end_group(&mut self) -> Result<(), Broken> {
        let Some(group) = self.group.take() else { return Ok(()) };
        if self.records {
            if group.written != group.expected {
                return Err(Broken::Inexact);
            }
            self.piece.push(b']');
        }
        self.piece.push(b'}');
        if self.format == Format::Ndjson {
            self.piece.push(b'\n');
        }
        Ok(())
    }
}

fn write_json(json: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(json, value).expect("our types are always JSON");
}
