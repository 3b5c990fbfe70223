//! `GET /v1/aggregates`: groups with their totals and records, streamed from one snapshot.

use futures::StreamExt;
use hyper::header::{HeaderMap, HeaderValue, VARY};
use serde::Serialize;
use tallyhouse_core::{DestinationId, GroupPart, GroupQuery, PartStream, Summary};
use warp::reply::Response;

use crate::app::App;
use crate::cursor::Cursor;
use crate::front::RequestContext;
use crate::media::{self, Media};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::records::set_next;
use crate::stream::{self, Broken, Outlet, PIECE_BYTES};

/// Most groups that may be asked for by number; without a limit all are sent.
const LIMIT_MAX: usize = u32::MAX as usize;

/// Answers the query. Where the client takes NDJSON, each group is a line.
pub(crate) async fn read(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let parameters = Parameters::read_with_filter(query, &["records", "limit", "cursor"])?;
    let records = parameters.one_of("records", &[("true", true), ("false", false)])?.unwrap_or(true);
    let query = GroupQuery {
        filter: parameters.filter()?,
        after: parameters.parsed("cursor", Cursor::group)?,
        limit: parameters.limit_to(LIMIT_MAX)?,
        records,
    };
    let media = media::accepted(headers);
    let slot = app.aggregates.take().await?;
    let groups = app.http.repository.groups(query).await?;

    let content_type = match media {
        Media::Json => "application/json",
        Media::Ndjson => "application/x-ndjson",
    };
    let parts = groups.parts;
    let mut response =
        stream::answer(content_type, app.settings.stall_timeout, context.request_id(), move |outlet| async move {
            let _slot = slot;
            let writer = Writer { outlet, media, records, json: Vec::new(), group: None, groups: 0, total: 0 };
            writer.write(parts).await
        });
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    if let Some(last) = groups.next {
        set_next(&mut response, &parameters, "/v1/aggregates", &Cursor::Group(last).write());
    }
    Ok(response)
}

/// Writes groups as they come.
struct Writer {
    outlet: Outlet,
    media: Media,
    records: bool,
    json: Vec<u8>,
    /// The group under way.
    group: Option<Group>,
    groups: u64,
    /// Records in all groups so far.
    total: u64,
}

/// A group whose records are being written.
struct Group {
    /// How many records its totals are of.
    expected: u64,
    written: u64,
}

impl Writer {
    async fn write(mut self, mut parts: PartStream<GroupPart>) -> Result<Outlet, Broken> {
        if self.media == Media::Json {
            self.json.extend_from_slice(b"{\"groups\":[");
        }
        loop {
            let part = tokio::select! {
                part = parts.next() => part,
                // Work for nobody is not gone on with, however long the next part takes.
                () = self.outlet.gone() => return Err(Broken::Gone),
            };
            match part {
                None => break,
                Some(part) => self.part(part?).await?,
            }
        }
        self.end_group()?;
        if self.media == Media::Json {
            self.json.extend_from_slice(
                format!("],\"groupCount\":{},\"recordCount\":{}}}", self.groups, self.total).as_bytes(),
            );
        }
        self.outlet.send(self.json).await?;
        Ok(self.outlet)
    }

    async fn part(&mut self, part: GroupPart) -> Result<(), Broken> {
        match part {
            GroupPart::Group(destination_id, summary) => {
                self.end_group()?;
                self.begin_group(&destination_id, &summary);
                self.outlet.send_if_large(&mut self.json).await
            }
            GroupPart::Records(records) => {
                for record in &records {
                    // Records belong to a group: without one, nothing that could be written would be true.
                    let group = self.group.as_mut().ok_or(Broken::Inexact)?;
                    if group.written > 0 {
                        self.json.push(b',');
                    }
                    group.written += 1;
                    write_json(&mut self.json, record);
                    self.outlet.send_if_large(&mut self.json).await?;
                }
                Ok(())
            }
        }
    }

    fn begin_group(&mut self, destination_id: &DestinationId, summary: &Summary) {
        if self.media == Media::Json && self.groups > 0 {
            self.json.push(b',');
        }
        self.groups += 1;
        self.total += summary.count();
        self.json.reserve(PIECE_BYTES / 32);
        self.json.extend_from_slice(b"{\"destinationId\":");
        write_json(&mut self.json, destination_id);
        // The members of the summary join those of the group: its opening brace becomes the comma between them.
        let joint = self.json.len();
        write_json(&mut self.json, summary);
        self.json[joint] = b',';
        self.json.pop();
        if self.records {
            self.json.extend_from_slice(b",\"records\":[");
        }
        self.group = Some(Group { expected: summary.count(), written: 0 });
    }

    /// Ends the group under way, if its records are as many as its totals say: a store that got that wrong must not be
    /// believed.
    fn end_group(&mut self) -> Result<(), Broken> {
        let Some(group) = self.group.take() else { return Ok(()) };
        if self.records {
            if group.written != group.expected {
                return Err(Broken::Inexact);
            }
            self.json.push(b']');
        }
        self.json.push(b'}');
        if self.media == Media::Ndjson {
            self.json.push(b'\n');
        }
        Ok(())
    }
}

fn write_json(json: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(json, value).expect("our types are always JSON");
}
