//! The parameters of operations: in path, query and headers.

use super::fields::{self, destination_id, position, record_type, reference, source_id, time, unit};
use super::model::{Parameter, Schema, example};

pub(super) fn query(name: &'static str, schema: Schema, description: &str) -> Parameter {
    Parameter { name, location: "query", description: description.to_owned(), required: false, schema, example: None }
}

pub(super) fn path(name: &'static str, schema: Schema, description: &str, json: &str) -> Parameter {
    Parameter {
        name,
        location: "path",
        description: description.to_owned(),
        required: true,
        schema,
        example: Some(example(json)),
    }
}

pub(super) fn header(name: &'static str, schema: Schema, description: &str) -> Parameter {
    Parameter { name, location: "header", description: description.to_owned(), required: false, schema, example: None }
}

/// The filters; all that are given must hold.
pub(super) fn filters() -> Vec<Parameter> {
    let mut filters = window();
    filters.extend([
        query("type", record_type(), "Records of this type."),
        with_example(query("destinationId", destination_id(), "Records of this destination."), "\"IAH\""),
        with_example(query("sourceId", source_id(), "Records of this source."), "\"UA\""),
        with_example(
            query("reference", reference(), "Records of this reference. `reference=` asks for the empty one."),
            "\"LGA\"",
        ),
        with_example(query("unit", unit(), "Records of this unit."), "\"minute\""),
    ]);
    filters
}

/// The range of `time`.
pub(super) fn window() -> Vec<Parameter> {
    vec![
        with_example(query("start", time(), "Records from this `time` on."), "\"2013-01-01T00:00:00Z\""),
        with_example(query("end", time(), "Records before this `time`."), "\"2013-01-02T00:00:00Z\""),
    ]
}

fn with_example(parameter: Parameter, json: &str) -> Parameter {
    Parameter { example: Some(example(json)), ..parameter }
}

/// The number of entries of a page.
pub(super) fn limit() -> Parameter {
    use crate::exchange::request::parameters::{PAGE, PAGE_MAX};
    let schema = Schema::integer(1).maximum(PAGE_MAX as u64).default_value(PAGE as u64);
    query("limit", schema, "Most entries of the page.")
}

/// The cursor of a page.
pub(super) fn cursor() -> Parameter {
    query("cursor", fields::cursor(), "Where the page begins: the `next` of the page before.")
}

/// The position after which messages are read.
pub(super) fn after(description: &str) -> Parameter {
    query("after", position(), description)
}

/// The trace context that the record's messages carry.
pub(super) fn traceparent() -> Parameter {
    let description = "W3C Trace Context, handed on with the messages of the records. One that is not valid is as if it were not there.";
    header("traceparent", Schema::text(), description)
}
