//! The aggregate from the configured database.

use anyhow::Context as _;
use futures::StreamExt as _;
use serde::Serialize;
use tallyhouse_pipeline::ports::{GroupPart, PartStream};
use tallyhouse_pipeline::{DestinationId, GroupQuery, Summary};

use super::response::Group;
use super::view::View;
use crate::database::{Database, Schema};
use crate::output::Output;
use crate::settings::Settings;

/// Shows the aggregate part by part.
///
/// # Errors
/// The database can't answer.
pub(super) async fn read_groups(settings: &Settings, query: GroupQuery, view: &mut dyn View) -> anyhow::Result<()> {
    let store = Database::open(settings, Schema::Check).await?;
    let mut parts = parts(&store, query).await?;
    while let Some(part) = parts.next().await {
        match part.context(READING)? {
            GroupPart::Group(destination_id, summary) => {
                let summary = serde_json::from_value(serde_json::to_value(&summary)?)?;
                view.group(Group { destination_id: destination_id.to_string(), summary })?;
            }
            GroupPart::Records(records) => {
                for record in records {
                    view.record(serde_json::from_value(serde_json::to_value(&record)?)?)?;
                }
            }
        }
    }
    view.end()
}

/// Writes the JSON document of the API.
///
/// # Errors
/// The database can't answer.
pub(super) async fn write_json(settings: &Settings, query: GroupQuery, out: &mut Output) -> anyhow::Result<()> {
    let store = Database::open(settings, Schema::Check).await?;
    let mut document = Document { out, records: query.records, groups: 0, records_total: 0, in_group: None };
    let mut parts = parts(&store, query).await?;
    document.out.write("{\"groups\":[")?;
    while let Some(part) = parts.next().await {
        match part.context(READING)? {
            GroupPart::Group(destination_id, summary) => document.begin_group(&destination_id, &summary)?,
            GroupPart::Records(records) => records.iter().try_for_each(|record| document.record(record))?,
        }
    }
    document.end_group()?;
    let (groups, records) = (document.groups, document.records_total);
    document.out.line(format!("],\"groupCount\":{groups},\"recordCount\":{records},\"next\":null}}"))
}

const READING: &str = "the database could not be read to the end";

async fn parts(store: &Database, query: GroupQuery) -> anyhow::Result<PartStream<GroupPart>> {
    Ok(store.store.groups(query).await.context(READING)?.parts)
}

/// Writes a document.
struct Document<'a> {
    out: &'a mut Output,
    records: bool,
    groups: u64,
    records_total: u64,
    /// The number of records written of the open group; `None` before the first group and after the last.
    in_group: Option<u64>,
}

impl Document<'_> {
    fn begin_group(&mut self, destination_id: &DestinationId, summary: &Summary) -> anyhow::Result<()> {
        self.end_group()?;
        if self.groups > 0 {
            self.out.write(",")?;
        }
        self.groups += 1;
        self.records_total += summary.count();
        self.out.write("{\"destinationId\":")?;
        self.json(destination_id)?;
        // The members of the summary belong to the object of the group: the summary's braces are cut off.
        let summary = serde_json::to_string(summary)?;
        let members = summary.trim_start_matches('{').strip_suffix('}').unwrap_or(&summary);
        self.out.write(",")?;
        self.out.write(members)?;
        if self.records {
            self.out.write(",\"records\":[")?;
        }
        self.in_group = Some(0);
        Ok(())
    }

    fn record(&mut self, record: &impl Serialize) -> anyhow::Result<()> {
        let written = self.in_group.as_mut().context("the database gave a record without its group")?;
        *written += 1;
        if *written > 1 {
            self.out.write(",")?;
        }
        self.json(record)
    }

    fn end_group(&mut self) -> anyhow::Result<()> {
        match self.in_group.take() {
            Some(_) if self.records => self.out.write("]}"),
            Some(_) => self.out.write("}"),
            None => Ok(()),
        }
    }

    fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.out.write(serde_json::to_vec(value)?)
    }
}
