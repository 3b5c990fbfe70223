//! The schemas of requests and responses. Their limits are the constants that the code checks.

use tallyhouse_pipeline::Value;

use crate::app::rate_history::INTERVALS_MAX;

use super::fields::{
    DECIMAL_IN, RECORD, breakers, cursor, dependencies, destination_id, instant, net, record_id, record_type,
    reference, sequence, source_id, sum, time, unit, words, written_record,
};
use super::model::{Ordered, Schema};
use super::{messages, problems};

/// All schemas, by their names.
pub(super) fn all() -> Ordered<Schema> {
    let mut all = Ordered::default();
    records(&mut all);
    summaries(&mut all);
    results(&mut all);
    answers(&mut all);
    messages::schemas(&mut all);
    problems::schemas(&mut all);
    all
}

fn records(all: &mut Ordered<Schema>) {
    words(all);
    all.push("Record", record().example(RECORD));
    all.push("WrittenRecord", written_record().says("A record as it is written: times in UTC, values as plain texts."));
    let event = Schema::object()
        .with("specversion", Schema::fixed("1.0"))
        .with("id", Schema::text().says("Not the record's identity."))
        .with("source", Schema::text())
        .with("type", Schema::text())
        .maybe(
            "traceparent",
            Schema::any().says(
                "A trace context, handed on with the record's messages. One that is not valid is as if it were not there.",
            ),
        )
        .with("data", Schema::named("Record"));
    all.push("RecordEvent", event.says("A CloudEvent 1.0 that bears a record."));
    all.push(
        "ProcessedRecord",
        processed(written_record()).says("A record, its place in the order of its key, and when it was processed."),
    );
    let stored = processed(written_record())
        .with("previous", Schema::named("Summary"))
        .with("alerts", Schema::list(Schema::text()).says("The names of the alert rules that it met."));
    all.push("StoredRecord", stored.says("All that is known of a record."));
}

/// A record as it may be sent.
fn record() -> Schema {
    let value = Schema::any_of([
        Schema::text().pattern(DECIMAL_IN),
        Schema::number(0).says("Write decimals as strings where your library makes floats of numbers."),
    ]);
    let digits = format!(
        "A decimal without a sign, of at most {} digits and {} decimal places when written out plainly. Never rounded.",
        Value::DIGITS_MAX,
        Value::PLACES_MAX
    );
    Schema::object()
        .with("recordId", record_id())
        .with("time", time())
        .with("sourceId", source_id())
        .with("destinationId", destination_id())
        .with("type", record_type())
        .with("value", value.says(digits))
        .with("unit", unit())
        .with("reference", reference())
        .says("One record. Unknown members are ignored.")
}

fn processed(record: Schema) -> Schema {
    record.with("sequence", sequence()).with("processedAt", instant())
}

fn summaries(all: &mut Ordered<Schema>) {
    let side = Schema::object().with("count", Schema::integer(0)).with("sum", sum());
    all.push("Side", side.says("The records of one type: how many, and their exact sum."));
    let total = Schema::object()
        .with("unit", unit())
        .with("count", Schema::integer(1))
        .with("positive", Schema::named("Side"))
        .with("negative", Schema::named("Side"))
        .with("net", net());
    all.push("UnitTotal", total.says("The exact totals of one unit."));
    all.push(
        "Summary",
        summary(Schema::object()).says("The summary of a set of records; that of none has no times and no totals.").example(
            r#"{"count":3,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-02T09:00:00Z","totals":[{"unit":"minute","count":3,"positive":{"count":2,"sum":"31"},"negative":{"count":1,"sum":"4"},"net":"27"}]}"#,
        ),
    );
    let entry = summary(Schema::object().with("reference", reference()).with("sequence", sequence()));
    all.push(
        "ReferenceSummary",
        entry.says("The running summary of one reference; its sequence is that of the last record."),
    );
    let group = summary(Schema::object().with("destinationId", destination_id()))
        .maybe("records", Schema::list(Schema::named("ProcessedRecord")).says("Missing where `records=false`."));
    all.push("Group", group.says("The matching records of one destination, with their exact totals."));
}

fn summary(before: Schema) -> Schema {
    let totals = Schema::list(Schema::named("UnitTotal")).says("Sorted by unit.");
    before
        .with("count", Schema::integer(0))
        .with("firstTime", instant().or_null())
        .with("lastTime", instant().or_null())
        .with("totals", totals)
}

fn results(all: &mut Ordered<Schema>) {
    all.push("Processed", processed_result(Schema::object()));
    all.push("Duplicate", duplicate_result(Schema::object()));
    let success = Schema::one_of(["Processed", "Duplicate"].map(Schema::named));
    all.push("RecordResult", success.says("What became of a record that was taken: `outcome` tells which."));
    let index = || Schema::object().with("index", Schema::integer(0).says("The place in the batch, from 0."));
    let indexed = [
        ("BatchProcessed", processed_result(index())),
        ("BatchDuplicate", duplicate_result(index())),
        ("BatchConflict", conflict_result(index())),
        ("BatchRejected", rejected_result(index())),
    ];
    let names: Vec<&str> = indexed.iter().map(|(name, _)| *name).collect();
    let any = Schema::one_of(names.iter().map(|name| Schema::named(name)));
    for (name, schema) in indexed {
        all.push(name, schema);
    }
    all.push("BatchResult", any.says("What became of one record of a batch."));
    all.push("Counts", counts().says("How many records had which outcome."));
    let line = Schema::one_of(names.iter().map(|name| Schema::named(name)).chain([Schema::named("Counts")]));
    all.push("BatchLine", line.says("A result; with `results=failed`, the last line is the counts."));
    let answer =
        counts().with("results", Schema::list(Schema::named("BatchResult")).says("In the order of the records."));
    all.push("BatchAnswer", answer);
}

fn processed_result(before: Schema) -> Schema {
    outcome(before, "processed")
        .with("sequence", sequence())
        .with("processedAt", instant())
        .with("previous", Schema::named("Summary"))
        .with("alerts", Schema::list(Schema::text()).says("The names of the alert rules that it met."))
        .says("Seen for the first time: stored, summed up, and its messages are in the outbox.")
}

fn duplicate_result(before: Schema) -> Schema {
    outcome(before, "duplicate")
        .with("sequence", sequence())
        .with("processedAt", instant())
        .says("Seen before with the same content. No effect, and a success.")
}

fn conflict_result(before: Schema) -> Schema {
    outcome(before, "conflict")
        .with("error", Schema::named("ConflictProblem"))
        .says("Seen before with other content. No effect.")
}

fn rejected_result(before: Schema) -> Schema {
    before
        .with("recordId", record_id().or_null().says("Null where it is not valid itself."))
        .with("outcome", Schema::fixed("rejected"))
        .with("error", Schema::named("RefusedProblem"))
        .says("Breaks a rule or a limit. No effect.")
}

fn outcome(before: Schema, outcome: &str) -> Schema {
    before.with("recordId", record_id()).with("outcome", Schema::fixed(outcome))
}

fn counts() -> Schema {
    let count = || Schema::integer(0);
    Schema::object()
        .with("processed", count())
        .with("duplicates", count())
        .with("conflicts", count())
        .with("rejected", count())
}

/// The cursor of the next page.
fn next() -> Schema {
    cursor().or_null().says("The `cursor` of the next page; null at the end.")
}

fn answers(all: &mut Ordered<Schema>) {
    let list = |name| Schema::list(Schema::named(name));
    all.push("Records", Schema::object().with("records", list("StoredRecord")).with("next", next()));
    let aggregates = Schema::object()
        .with("groups", list("Group"))
        .with("groupCount", Schema::integer(0).says("Of this answer."))
        .with("recordCount", Schema::integer(0).says("Of this answer."))
        .with("next", next());
    all.push("Aggregates", aggregates);
    let summaries = list("ReferenceSummary").says("Sorted by reference.");
    all.push(
        "Summaries",
        Schema::object().with("destinationId", destination_id()).with("summaries", summaries).with("next", next()),
    );
    all.push("Health", Schema::object().with("status", Schema::fixed("ok")));
    let ready = Schema::object()
        .with("status", Schema::word(["ready", "degraded"]).says("Degraded: ready, but something is away."))
        .with("dependencies", dependencies())
        .with("breakers", breakers());
    all.push("Readiness", ready);
    let column = || Schema::list(Schema::integer(0)).of_at_most(INTERVALS_MAX);
    let counts = Schema::object()
        .with("processed", column())
        .with("duplicates", column())
        .with("conflicts", column())
        .with("rejected", column())
        .says("How many records had each outcome in each interval, oldest first.");
    let rates = Schema::object()
        .with("version", Schema::text().says("The version of the program."))
        .with("startedAt", instant().says("When the instance started."))
        .with("totals", Schema::named("Counts"))
        .with("intervalSeconds", Schema::integer(1))
        .with("end", instant().says("When the last interval ended."))
        .with("counts", counts);
    all.push("Rates", rates.says("The counts of one instance: all since its start, and those of the last intervals."));
}
