//! The calls that write records.

use crate::settings::HttpSettings;

use super::fields::{RECORD, record_id};
use super::model::{Media, Response, Schema};
use super::operation_builder::{Description, call};
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

pub(super) fn record() -> Description {
    let settings = HttpSettings::default();
    let body = media(Schema::named("Record")).showing("flight", "A flight that came 20 minutes late", RECORD);
    let says = format!(
        "One record, at most {} when unpacked. `Content-Encoding: gzip` is taken.",
        kib(settings.record_bytes_max)
    );
    let call = call("writeRecord", TAG, "Processes one record, exactly once")
        .says(
            "A success means: committed. Sent again, a record is recognised by its `recordId`, and nothing happens twice. A \
             CloudEvent bears the record as its `data`, in structured mode or, with `ce-` headers, in binary mode; the event's own \
             `id` is not the record's identity, and its `traceparent` is handed on.",
        )
        .with(traceparent())
        .body(says, [("application/json", body), ("application/cloudevents+json", event())]);
    written(call).may_be_full()
}

/// The responses to the write of a record.
pub(super) fn written(call: Description) -> Description {
    let conflict = answer("Processed before with other content.", Schema::named("ConflictAnswer")).shows(CONFLICT);
    let rejected = answer("It breaks a rule or a limit: every reason is named.", Schema::named("RejectedAnswer"));
    let processed = json("Processed: stored and summed up, and its messages are in the outbox.", "RecordResult");
    // One schema for both: many generators decode every success by the schema of the first one.
    call.answers(201, processed.shows(PROCESSED))
        .answers(200, duplicate())
        .answers(409, conflict)
        .answers(422, rejected.shows(REJECTED))
}

fn duplicate() -> Response {
    let says = "Processed before with the same content.";
    json(says, "RecordResult").with_header("Idempotent-Replayed").shows(DUPLICATE)
}

pub(super) fn batch() -> Description {
    let settings = HttpSettings::default();
    let says = format!(
        "JSON: an array of at most {} records and {}. NDJSON: one record a line of at most {}, without a limit on lines. \
         `Content-Encoding: gzip` is taken; limits count unpacked bytes.",
        settings.batch_records_max,
        kib(settings.batch_bytes_max),
        kib(settings.record_bytes_max)
    );
    let rejected = answer("JSON that is no array.", Schema::named("RejectedProblem"));
    call("writeBatch", TAG, "Processes many records, each by itself")
        .says(
            "One bad record never hides the others, and a batch is not atomic as a whole. NDJSON is answered line by line while \
             it comes: read the answer while you send, or ask for `results=failed`. If storage fails on the way the connection \
             breaks; lines without a result are unknown, and are repeated safely.",
        )
        .with(query("results", Schema::word(["failed"]), "`failed` leaves out the results of processed and duplicate records."))
        .with(traceparent())
        .body(
            says,
            [
                ("application/json", array(settings.batch_records_max)),
                ("application/x-ndjson", sent_lines()),
                ("application/cloudevents-batch+json", events(settings.batch_records_max)),
            ],
        )
        .answers(200, json("A result for each record.", "BatchAnswer").or_lines("BatchLine"))
        .answers(422, rejected)
        .may_be_full()
}

fn array(records_max: usize) -> Media {
    let records = format!("[{RECORD}]");
    let schema = Schema::list(Schema::named("Record")).of_at_most(records_max);
    media(schema).showing("flights", "An array of flights", &records)
}

fn event() -> Media {
    media(Schema::named("RecordEvent")).showing("flight", "A CloudEvent with a flight", &event_json())
}

fn events(events_max: usize) -> Media {
    let schema = Schema::list(Schema::named("RecordEvent")).of_at_most(events_max);
    media(schema).showing("flights", "An array of CloudEvents", &format!("[{}]", event_json()))
}

fn event_json() -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/flights","type":"flight.landed","data":{RECORD}}}"#)
}

fn sent_lines() -> Media {
    lines("Record").showing("flights", "Two flights", BATCH_LINES)
}

pub(super) fn replay() -> Description {
    let id = path("id", Schema::text_of(1..=64), "The id of the dead letter.", "\"1767225600000-0\"");
    let summary = "Processes the payload of a dead letter again";
    let bad = Schema::one_of([not_json(), Schema::named("ParameterProblem")]);
    let call = call("replayDeadLetter", "Dead letters", summary)
        .says("The dead letter is removed if that was processed or duplicate.")
        .with(id)
        .answers(400, answer("The payload is not JSON, or a parameter is bad.", bad))
        .answers(413, answer("The payload is too large to be a record.", Schema::named("TooLargeAnswer")))
        .not_found("There is no such dead letter, or no queue is connected.");
    written(call).may_be_full()
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
