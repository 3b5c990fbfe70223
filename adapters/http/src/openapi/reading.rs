//! The calls that read records, totals, messages and dead letters.

use tallyhouse_pipeline::{RECORD_COLUMNS, TOTAL_COLUMNS, Topic};

use crate::endpoints::reading::aggregates::LIMIT_MAX;

use super::fields::{destination_id, last_position, position, reference};
use super::messages::rule_name;
use super::model::{Media, Ordered, Response, Schema};
use super::operation_builder::{OperationBuilder, call, no_content};
use super::parameters::{after, cursor, filters, header, limit, path, query};
use super::responses::{json, lines, response};
use super::writing::record_id_in_path;

const TAG: &str = "Reading";
const MESSAGES: &str = "Messages";
const DEAD_LETTERS: &str = "Dead letters";

const STORED: &str = r#"{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z","previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]},"alerts":[]}"#;

const AGGREGATES: &str = r#"{"groups":[{"destinationId":"IAH","count":1,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"minute","count":1,"positive":{"count":1,"sum":"20"},"negative":{"count":0,"sum":"0"},"net":"20"}],"records":[{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z"}]}],"groupCount":1,"recordCount":1,"next":null}"#;

const SUMMARIES: &str = r#"{"destinationId":"IAH","summaries":[{"reference":"LGA","sequence":1,"count":1,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"minute","count":1,"positive":{"count":1,"sum":"20"},"negative":{"count":0,"sum":"0"},"net":"20"}]}],"next":null}"#;

const DEAD_LETTER: &str = r#"{"deadLetters":[{"id":"1767225600000-0","payload":"{\"recordId\":","reason":"not-json","detail":"is not well-formed JSON","origin":"list","at":"2026-01-01T00:00:00Z"}],"next":null}"#;

pub(super) fn records() -> OperationBuilder {
    let answer =
        json("A page.", "Records").or_ndjson("StoredRecord").or_csv(&RECORD_COLUMNS).with_next_link().with_etag();
    call("listRecords", TAG, "Records, by `time` and then `recordId`")
        .description("`Accept` chooses the form. Each page is a snapshot of its own.")
        .with_all(filters())
        .with(query("alerting", Schema::string_enum(["true"]), "Only records that met an alert rule."))
        .with(query("rule", rule_name(), "Only records that met the alert rule of this name."))
        .with(query(
            "order",
            Schema::string_enum(["oldest", "newest"]),
            "`newest` turns the order around. A cursor belongs to the order of its page.",
        ))
        .with(limit())
        .with(cursor())
        .response(200, answer)
        .conditional()
        .unavailable()
}

pub(super) fn record() -> OperationBuilder {
    call("readRecord", TAG, "All that is known of a record")
        .with(record_id_in_path())
        .response(200, json("The record.", "StoredRecord").with_example(STORED).with_etag())
        .conditional()
        .not_found("There is no such record.")
        .unavailable()
}

pub(super) fn record_named_batch() -> OperationBuilder {
    let summary = "The record whose id is `batch`";
    call("readRecordNamedBatch", TAG, summary)
        .description("As any other record. It has an entry of its own since its path is also that of batches.")
        .response(200, json("The record.", "StoredRecord").with_etag())
        .conditional()
        .not_found("There is no such record.")
        .unavailable()
}

pub(super) fn aggregates() -> OperationBuilder {
    let listed = query("records", Schema::boolean(), "`false` leaves the records out. In CSV there are none.");
    let most = Schema::integer(1).maximum(LIMIT_MAX as u64);
    let json = json("The groups, sorted by destination.", "Aggregates").with_example(AGGREGATES);
    call("readAggregates", TAG, "Records grouped by destination, with exact totals")
        .description(
            "One snapshot, streamed: the totals of a group are exactly the sums of the records listed. An error on the way breaks \
             the connection, so a well-formed answer is a whole one. `Accept` chooses the form.",
        )
        .with_all(filters())
        .with(listed)
        .with(query("limit", most, "Most groups of the page. By default all."))
        .with(cursor())
        .response(200, json.or_ndjson("Group").or_csv(&TOTAL_COLUMNS).with_next_link().with_etag())
        .conditional()
        .unavailable_or_overloaded()
}

pub(super) fn export() -> OperationBuilder {
    let lines = response("Every matching record.").with_content("application/x-ndjson", lines("ProcessedRecord"));
    call("exportRecords", TAG, "Every matching record of one moment, a line each")
        .description(
            "Streamed in the order of processing; `tallyhouse import` takes both forms. `Accept` chooses the form.",
        )
        .with_all(filters())
        .response(200, lines.or_csv(&RECORD_COLUMNS))
        .unavailable_or_overloaded()
}

pub(super) fn summaries() -> OperationBuilder {
    let destination = path("destinationId", destination_id(), "The destination.", "\"IAH\"");
    let summary = "The running summary of each reference of a destination";
    call("readSummaries", TAG, summary)
        .description("A destination without records has none.")
        .with(destination)
        .with(query("reference", reference(), "Of this reference alone. `reference=` asks for the empty one."))
        .with(limit())
        .with(cursor())
        .response(200, json("A page.", "Summaries").with_next_link().with_example(SUMMARIES).with_etag())
        .conditional()
        .unavailable()
}

pub(super) fn page(topic: Topic) -> OperationBuilder {
    let (id, summary, schema) = match topic {
        Topic::Notifications => ("readNotifications", "Catches up with the notifications", "Notifications"),
        Topic::Alerts => ("readAlerts", "Catches up with the alerts", "Alerts"),
    };
    call(id, MESSAGES, summary)
        .description("With nothing new, `next` repeats `after`. A message that commits late is never skipped.")
        .with(after("The position after which to begin; by default the start."))
        .with(limit())
        .response(200, json("The messages after that position.", schema).with_etag())
        .history_changed()
        .conditional()
        .unavailable()
}

pub(super) fn stream(topic: Topic) -> OperationBuilder {
    let (id, summary) = match topic {
        Topic::Notifications => ("followNotifications", "Follows the notifications"),
        Topic::Alerts => ("followAlerts", "Follows the alerts"),
    };
    let description = "Each event is an `id:`, the position, and `data:`, the message in one line. Comments keep the connection alive. A stream from now on begins with an `id:` alone.";
    let event = Schema::object()
        .with("id", position())
        .with_optional("data", Schema::text().description("The message, as JSON."));
    let events =
        Media { schema: Schema::default().description(description), line: Some(event), examples: Ordered::default() };
    call(id, MESSAGES, summary)
        .description("Server-sent events from now on. Resumed by `Last-Event-ID` (or `after`), nothing is missed.")
        .with(after("The position after which to begin; by default only what comes from now on."))
        .with(header("Last-Event-ID", last_position(), "The last `id` that came. It wins over `after`."))
        .response(200, response("The stream.").with_content("text/event-stream", events))
        .history_changed()
        .unavailable_or_overloaded()
}

pub(super) fn dead_letters() -> OperationBuilder {
    let after = query("after", Schema::text(), "The id after which to begin: the `next` of the page before.");
    call("listDeadLetters", DEAD_LETTERS, "Refused queue payloads, oldest first")
        .with(after)
        .with(limit())
        .response(200, json("A page.", "DeadLetters").with_example(DEAD_LETTER))
        .not_found("No queue is connected.")
        .unavailable()
}

pub(super) fn drop_dead_letter() -> OperationBuilder {
    let id = path("id", Schema::text_of_length(1..=64), "The id of the dead letter.", "\"1767225600000-0\"");
    let done: Response = no_content("Dropped.");
    call("dropDeadLetter", DEAD_LETTERS, "Drops a dead letter")
        .with(id)
        .response(204, done)
        .not_found("There is no such dead letter, or no queue is connected.")
        .unavailable()
}
