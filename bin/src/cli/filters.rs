//! The filters of a query, as flags: the same as those of the HTTP API.

use clap::Args;
use tallyhouse_pipeline::{DestinationId, Filter, RecordType, Reference, SourceId, Timestamp, TimestampError, Unit};

/// Which records: every condition that is given must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters, all combined with and")]
pub(crate) struct FilterArgs {
    /// Only records at or after this time, e.g. 2013-01-01T00:00:00Z; a date alone means its beginning in UTC
    #[arg(long, value_name = "TIME", value_parser = bound)]
    pub(crate) start: Option<Timestamp>,
    /// Only records before this time, or before the beginning of this date
    #[arg(long, value_name = "TIME", value_parser = bound)]
    pub(crate) end: Option<Timestamp>,
    /// Only records of this type: positive or negative
    #[arg(long = "type", value_name = "TYPE", value_parser = record_type)]
    pub(crate) record_type: Option<RecordType>,
    /// Only records of this destination
    #[arg(long, value_name = "ID", value_parser = |text: &str| DestinationId::new(text))]
    pub(crate) destination_id: Option<DestinationId>,
    /// Only records from this source
    #[arg(long, value_name = "ID", value_parser = |text: &str| SourceId::new(text))]
    pub(crate) source_id: Option<SourceId>,
    /// Only records with this reference; an empty one asks for records without
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| Reference::new(text))]
    pub(crate) reference: Option<Reference>,
    /// Only records in this unit
    #[arg(long, value_parser = |text: &str| Unit::new(text))]
    pub(crate) unit: Option<Unit>,
}

impl FilterArgs {
    /// Returns the filter of a query to the database.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            start: self.start,
            end: self.end,
            record_type: self.record_type,
            destination_id: self.destination_id.clone(),
            source_id: self.source_id.clone(),
            reference: self.reference.clone(),
            unit: self.unit.clone(),
        }
    }

    /// Returns the parameters of a query over HTTP.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let text = |name, text: Option<&str>| text.map(|text| (name, text.to_owned()));
        let parameters = [
            self.start.map(|start| ("start", start.to_string())),
            self.end.map(|end| ("end", end.to_string())),
            text("type", self.record_type.map(RecordType::name)),
            text("destinationId", self.destination_id.as_ref().map(DestinationId::as_str)),
            text("sourceId", self.source_id.as_ref().map(SourceId::as_str)),
            text("reference", self.reference.as_ref().map(Reference::as_str)),
            text("unit", self.unit.as_ref().map(Unit::as_str)),
        ];
        parameters.into_iter().flatten().collect()
    }
}

fn bound(text: &str) -> Result<Timestamp, TimestampError> {
    let is_date = text.len() == "2013-01-01".len() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_date { Timestamp::parse_bound(&format!("{text}T00:00:00Z")) } else { Timestamp::parse_bound(text) }
}

fn record_type(name: &str) -> Result<RecordType, &'static str> {
    RecordType::named(name).ok_or("must be positive or negative")
}
