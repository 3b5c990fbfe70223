//! The calls that write records.

use crate::settings::HttpSettings;

use super::fields::{RECORD, record_id};
use super::model::{Media, Response, Schema};
use super::operation_builder::{OperationBuilder, call};
use super::parameters::{path, query, traceparent};
use super::problems::{answer, not_json};
use super::responses::{json, lines, media};

const TAG: &str = "Writing";

const PROCESSED: &str = r#"{"recordId":"2013-01-01-UA1714-LGA-IAH","outcome":"processed","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z","previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]},"alerts":[]}"#;

const DUPLICATE: &str = r#"{"recordId":"2013-01-01-UA1714-LGA-IAH","outcome":"duplicate","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z"}"#;

const CONFLICT: &str = r#"{"type":"urn:tallyhouse:problem:conflict","title":"Conflict with an earlier record","status":409,"detail":"The record was processed before with other content: value.","differs":["value"],"recordId":"2013-01-01-UA1714-LGA-IAH","outcome":"conflict"}"#;

const REJECTED: &str = r#"{"type":"urn:tallyhouse:problem:rejected","title":"Rejected","status":422,"detail":"/unit is missing","errors":[{"pointer":"/unit","detail":"is missing"}],"recordId":"2013-01-01-UA1714-LGA-IAH","outcome":"rejected"}"#;

/// The first line of a batch is the record, the second is its repeat.
const BATCH_LINES: &str = r#""{\"recordId\":\"2013-01-01-UA1714-LGA-IAH\",\"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"UA\",\"destinationId\":\"IAH\",\"type\":\"positive\",\"value\":\"20\",\"unit\":\"minute\",\"reference\":\"LGA\"}\n{\"recordId\":\"2013-01-01-AA1141-JFK-MIA\",\"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"AA\",\"destinationId\":\"MIA\",\"type\":\"positive\",\"value\":\"33\",\"unit\":\"minute\",\"reference\":\"JFK\"}\n""#;

pub(super) fn record() -> OperationBuilder {
    let settings = HttpSettings::default();
    let body =
        media(Schema::reference_to("Record")).with_example("flight", "A flight that came 20 minutes late", RECORD);
    let description = format!(
        "One record, at most {} when unpacked. `Content-Encoding: gzip` is taken.",
        kib(settings.record_bytes_max)
    );
    let call = call("writeRecord", TAG, "Processes one record, exactly once")
        .description(
            "A success means: committed. Sent again, a record is recognised by its `recordId`, and nothing happens twice. A \
             CloudEvent bears the record as its `data`, in structured mode or, with `ce-` headers, in binary mode; the event's own \
             `id` is not the record's identity, and its `traceparent` is handed on.",
        )
        .with(traceparent())
        .body(description, [("application/json", body), ("application/cloudevents+json", event())]);
    written(call).unavailable_or_overloaded()
}

/// The responses to the write of a record.
pub(super) fn written(call: OperationBuilder) -> OperationBuilder {
    let conflict =
        answer("Processed before with other content.", Schema::reference_to("ConflictAnswer")).with_example(CONFLICT);
    let rejected =
        answer("It breaks a rule or a limit: every reason is named.", Schema::reference_to("RejectedAnswer"));
    let processed = json("Processed: stored and summed up, and its messages are in the outbox.", "RecordResult");
    // One schema for both: many generators decode every success by the schema of the first one.
    call.response(201, processed.with_example(PROCESSED))
        .response(200, duplicate())
        .response(409, conflict)
        .response(422, rejected.with_example(REJECTED))
}

fn duplicate() -> Response {
    let description = "Processed before with the same content.";
    json(description, "RecordResult").with_header("Idempotent-Replayed").with_example(DUPLICATE)
}

pub(super) fn batch() -> OperationBuilder {
    let settings = HttpSettings::default();
    let description = format!(
        "JSON: an array of at most {} records and {}. NDJSON: one record a line of at most {}, without a limit on lines. \
         `Content-Encoding: gzip` is taken; limits count unpacked bytes.",
        settings.batch_records_max,
        kib(settings.batch_bytes_max),
        kib(settings.record_bytes_max)
    );
    let rejected = answer("JSON that is no array.", Schema::reference_to("RejectedProblem"));
    call("writeBatch", TAG, "Processes many records, each by itself")
        .description(
            "One bad record never hides the others, and a batch is not atomic as a whole. NDJSON is answered line by line while \
             it comes: read the answer while you send, or ask for `results=failed`. If storage fails on the way the connection \
             breaks; lines without a result are unknown, and are repeated safely.",
        )
        .with(query("results", Schema::string_enum(["failed"]), "`failed` leaves out the results of processed and duplicate records."))
        .with(traceparent())
        .body(
            description,
            [
                ("application/json", array(settings.batch_records_max)),
                ("application/x-ndjson", sent_lines()),
                ("application/cloudevents-batch+json", events(settings.batch_records_max)),
            ],
        )
        .response(200, json("A result for each record.", "BatchAnswer").or_ndjson("BatchLine"))
        .response(422, rejected)
        .unavailable_or_overloaded()
}

fn array(records_max: usize) -> Media {
    let records = format!("[{RECORD}]");
    let schema = Schema::array(Schema::reference_to("Record")).max_items(records_max);
    media(schema).with_example("flights", "An array of flights", &records)
}

fn event() -> Media {
    media(Schema::reference_to("RecordEvent")).with_example("flight", "A CloudEvent with a flight", &event_json())
}

fn events(events_max: usize) -> Media {
    let schema = Schema::array(Schema::reference_to("RecordEvent")).max_items(events_max);
    media(schema).with_example("flights", "An array of CloudEvents", &format!("[{}]", event_json()))
}

fn event_json() -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/flights","type":"flight.landed","data":{RECORD}}}"#)
}

fn sent_lines() -> Media {
    lines("Record").with_example("flights", "Two flights", BATCH_LINES)
}

pub(super) fn replay() -> OperationBuilder {
    let id = path("id", Schema::text_of_length(1..=64), "The id of the dead letter.", "\"1767225600000-0\"");
    let summary = "Processes the payload of a dead letter again";
    let bad = Schema::one_of([not_json(), Schema::reference_to("ParameterProblem")]);
    let call = call("replayDeadLetter", "Dead letters", summary)
        .description("The dead letter is removed if that was processed or duplicate.")
        .with(id)
        .response(400, answer("The payload is not JSON, or a parameter is bad.", bad))
        .response(413, answer("The payload is too large to be a record.", Schema::reference_to("TooLargeAnswer")))
        .not_found("There is no such dead letter, or no queue is connected.");
    written(call).unavailable_or_overloaded()
}

/// The record named `batch` shares its path with the batch.
pub(super) fn record_id_in_path() -> super::model::Parameter {
    path("recordId", record_id(), "The id of the record.", "\"2013-01-01-UA1714-LGA-IAH\"")
}

fn kib(bytes: usize) -> String {
    match bytes / 1024 {
        kib if kib >= 1024 => format!("{} MiB", kib / 1024),
        kib => format!("{kib} KiB"),
    }
}
