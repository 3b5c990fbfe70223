//! The calls that read records, totals, messages and dead letters.

use tallyhouse_pipeline::{RECORD_COLUMNS, TOTAL_COLUMNS, Topic};

use crate::endpoints::reading::aggregates::LIMIT_MAX;

use super::fields::{destination_id, last_position, position, reference};
use super::messages::rule_name;
use super::model::{Media, Ordered, Response, Schema};
use super::operation_builder::{Description, call, nothing};
use super::parameters::{after, cursor, filters, header, limit, path, query};
use super::responses::{describe, json, lines};
use super::writing::record_id_in_path;

const TAG: &str = "Reading";
const MESSAGES: &str = "Messages";
const DEAD_LETTERS: &str = "Dead letters";

const STORED: &str = r#"{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z","previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]},"alerts":[]}"#;

const AGGREGATES: &str = r#"{"groups":[{"destinationId":"IAH","count":1,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"minute","count":1,"positive":{"count":1,"sum":"20"},"negative":{"count":0,"sum":"0"},"net":"20"}],"records":[{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA","sequence":1,"processedAt":"2026-01-01T00:00:00.000001Z"}]}],"groupCount":1,"recordCount":1,"next":null}"#;

const SUMMARIES: &str = r#"{"destinationId":"IAH","summaries":[{"reference":"LGA","sequence":1,"count":1,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"minute","count":1,"positive":{"count":1,"sum":"20"},"negative":{"count":0,"sum":"0"},"net":"20"}]}],"next":null}"#;

const DEAD_LETTER: &str = r#"{"deadLetters":[{"id":"1767225600000-0","payload":"{\"recordId\":","reason":"not-json","detail":"is not well-formed JSON","origin":"list","at":"2026-01-01T00:00:00Z"}],"next":null}"#;

pub(super) fn records() -> Description {
    let answer = json("A page.", "Records").or_lines("StoredRecord").or_rows(&RECORD_COLUMNS).paged().tagged();
    call("listRecords", TAG, "Records, by `time` and then `recordId`")
        .says("`Accept` chooses the form. Each page is a snapshot of its own.")
        .with_all(filters())
        .with(query("alerting", Schema::word(["true"]), "Only records that met an alert rule."))
        .with(query("rule", rule_name(), "Only records that met the alert rule of this name."))
        .with(query(
            "order",
            Schema::word(["oldest", "newest"]),
            "`newest` turns the order around. A cursor belongs to the order of its page.",
        ))
        .with(limit())
        .with(cursor())
        .answers(200, answer)
        .may_be_known()
        .may_be_away()
}

pub(super) fn record() -> Description {
    call("readRecord", TAG, "All that is known of a record")
        .with(record_id_in_path())
        .answers(200, json("The record.", "StoredRecord").shows(STORED).tagged())
        .may_be_known()
        .not_found("There is no such record.")
        .may_be_away()
}

pub(super) fn record_named_batch() -> Description {
    let summary = "The record whose id is `batch`";
    call("readRecordNamedBatch", TAG, summary)
        .says("As any other record. It has an entry of its own since its path is also that of batches.")
        .answers(200, json("The record.", "StoredRecord").tagged())
        .may_be_known()
        .not_found("There is no such record.")
        .may_be_away()
}

pub(super) fn aggregates() -> Description {
    let listed = query("records", Schema::boolean(), "`false` leaves the records out. In CSV there are none.");
    let most = Schema::integer(1).at_most(LIMIT_MAX as u64);
    let json = json("The groups, sorted by destination.", "Aggregates").shows(AGGREGATES);
    call("readAggregates", TAG, "Records grouped by destination, with exact totals")
        .says(
            "One snapshot, streamed: the totals of a group are exactly the sums of the records listed. An error on the way breaks \
             the connection, so a well-formed answer is a whole one. `Accept` chooses the form.",
        )
        .with_all(filters())
        .with(listed)
        .with(query("limit", most, "Most groups of the page. By default all."))
        .with(cursor())
        .answers(200, json.or_lines("Group").or_rows(&TOTAL_COLUMNS).paged().tagged())
        .may_be_known()
        .may_be_full()
}

pub(super) fn export() -> Description {
    let lines = describe("Every matching record.").with_content("application/x-ndjson", lines("ProcessedRecord"));
    call("exportRecords", TAG, "Every matching record of one moment, a line each")
        .says("Streamed in the order of processing; `tallyhouse import` takes both forms. `Accept` chooses the form.")
        .with_all(filters())
        .answers(200, lines.or_rows(&RECORD_COLUMNS))
        .may_be_full()
}

pub(super) fn summaries() -> Description {
    let destination = path("destinationId", destination_id(), "The destination.", "\"IAH\"");
    let summary = "The running summary of each reference of a destination";
    call("readSummaries", TAG, summary)
        .says("A destination without records has none.")
        .with(destination)
        .with(query("reference", reference(), "Of this reference alone. `reference=` asks for the empty one."))
        .with(limit())
        .with(cursor())
        .answers(200, json("A page.", "Summaries").paged().shows(SUMMARIES).tagged())
        .may_be_known()
        .may_be_away()
}

pub(super) fn page(topic: Topic) -> Description {
    let (id, summary, schema) = match topic {
        Topic::Notifications => ("readNotifications", "Catches up with the notifications", "Notifications"),
        Topic::Alerts => ("readAlerts", "Catches up with the alerts", "Alerts"),
    };
    call(id, MESSAGES, summary)
        .says("With nothing new, `next` repeats `after`. A message that commits late is never skipped.")
        .with(after("The position after which to begin; by default the start."))
        .with(limit())
        .answers(200, json("The messages after that position.", schema).tagged())
        .history_changed()
        .may_be_known()
        .may_be_away()
}

pub(super) fn stream(topic: Topic) -> Description {
    let (id, summary) = match topic {
        Topic::Notifications => ("followNotifications", "Follows the notifications"),
        Topic::Alerts => ("followAlerts", "Follows the alerts"),
    };
    let says = "Each event is an `id:`, the position, and `data:`, the message in one line. Comments keep the connection alive. A stream from now on begins with an `id:` alone.";
    let event = Schema::object().with("id", position()).maybe("data", Schema::text().says("The message, as JSON."));
    let events = Media { schema: Schema::default().says(says), line: Some(event), examples: Ordered::default() };
    call(id, MESSAGES, summary)
        .says("Server-sent events from now on. Resumed by `Last-Event-ID` (or `after`), nothing is missed.")
        .with(after("The position after which to begin; by default only what comes from now on."))
        .with(header("Last-Event-ID", last_position(), "The last `id` that came. It wins over `after`."))
        .answers(200, describe("The stream.").with_content("text/event-stream", events))
        .history_changed()
        .may_be_full()
}

pub(super) fn dead_letters() -> Description {
    let after = query("after", Schema::text(), "The id after which to begin: the `next` of the page before.");
    call("listDeadLetters", DEAD_LETTERS, "Refused queue payloads, oldest first")
        .with(after)
        .with(limit())
        .answers(200, json("A page.", "DeadLetters").shows(DEAD_LETTER))
        .not_found("No queue is connected.")
        .may_be_away()
}

pub(super) fn drop_dead_letter() -> Description {
    let id = path("id", Schema::text_of(1..=64), "The id of the dead letter.", "\"1767225600000-0\"");
    let done: Response = nothing("Dropped.");
    call("dropDeadLetter", DEAD_LETTERS, "Drops a dead letter")
        .with(id)
        .answers(204, done)
        .not_found("There is no such dead letter, or no queue is connected.")
        .may_be_away()
}
