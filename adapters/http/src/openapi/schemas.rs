//! The schemas of requests and responses. Their limits are the constants that the code checks.

use tallyhouse_pipeline::Value;

use crate::app::rate_history::INTERVALS_MAX;

use super::fields::{
    DECIMAL_IN, RECORD, breakers, cursor, dependencies, destination_id, enumerations, instant, net, record_id,
    record_type, reference, sequence, source_id, sum, time, unit, written_record,
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
    enumerations(all);
    all.push("Record", record().example(RECORD));
    all.push(
        "WrittenRecord",
        written_record().description("A record as it is written: times in UTC, values as plain texts."),
    );
    let event = Schema::object()
        .with("specversion", Schema::constant("1.0"))
        .with("id", Schema::text().description("Not the record's identity."))
        .with("source", Schema::text())
        .with("type", Schema::text())
        .with_optional(
            "traceparent",
            Schema::any().description(
                "A trace context, handed on with the record's messages. One that is not valid is as if it were not there.",
            ),
        )
        .with("data", Schema::reference_to("Record"));
    all.push("RecordEvent", event.description("A CloudEvent 1.0 that bears a record."));
    all.push(
        "ProcessedRecord",
        processed(written_record())
            .description("A record, its place in the order of its key, and when it was processed."),
    );
    let stored = processed(written_record())
        .with("previous", Schema::reference_to("Summary"))
        .with("alerts", Schema::array(Schema::text()).description("The names of the alert rules that it met."));
    all.push("StoredRecord", stored.description("All that is known of a record."));
}

/// A record as it may be sent.
fn record() -> Schema {
    let value = Schema::any_of([
        Schema::text().pattern(DECIMAL_IN),
        Schema::number(0).description("Write decimals as strings where your library makes floats of numbers."),
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
        .with("value", value.description(digits))
        .with("unit", unit())
        .with("reference", reference())
        .description("One record. Unknown members are ignored.")
}

fn processed(record: Schema) -> Schema {
    record.with("sequence", sequence()).with("processedAt", instant())
}

fn summaries(all: &mut Ordered<Schema>) {
    let side = Schema::object().with("count", Schema::integer(0)).with("sum", sum());
    all.push("Side", side.description("The records of one type: how many, and their exact sum."));
    let total = Schema::object()
        .with("unit", unit())
        .with("count", Schema::integer(1))
        .with("positive", Schema::reference_to("Side"))
        .with("negative", Schema::reference_to("Side"))
        .with("net", net());
    all.push("UnitTotal", total.description("The exact totals of one unit."));
    all.push(
        "Summary",
        summary(Schema::object()).description("The summary of a set of records; that of none has no times and no totals.").example(
            r#"{"count":3,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-02T09:00:00Z","totals":[{"unit":"minute","count":3,"positive":{"count":2,"sum":"31"},"negative":{"count":1,"sum":"4"},"net":"27"}]}"#,
        ),
    );
    let entry = summary(Schema::object().with("reference", reference()).with("sequence", sequence()));
    all.push(
        "ReferenceSummary",
        entry.description("The running summary of one reference; its sequence is that of the last record."),
    );
    let group = summary(Schema::object().with("destinationId", destination_id())).with_optional(
        "records",
        Schema::array(Schema::reference_to("ProcessedRecord")).description("Missing where `records=false`."),
    );
    all.push("Group", group.description("The matching records of one destination, with their exact totals."));
}

fn summary(before: Schema) -> Schema {
    let totals = Schema::array(Schema::reference_to("UnitTotal")).description("Sorted by unit.");
    before
        .with("count", Schema::integer(0))
        .with("firstTime", instant().or_null())
        .with("lastTime", instant().or_null())
        .with("totals", totals)
}

fn results(all: &mut Ordered<Schema>) {
    all.push("Processed", processed_result(Schema::object()));
    all.push("Duplicate", duplicate_result(Schema::object()));
    let success = Schema::one_of(["Processed", "Duplicate"].map(Schema::reference_to));
    all.push("RecordResult", success.description("What became of a record that was taken: `outcome` tells which."));
    let index = || Schema::object().with("index", Schema::integer(0).description("The place in the batch, from 0."));
    let indexed = [
        ("BatchProcessed", processed_result(index())),
        ("BatchDuplicate", duplicate_result(index())),
        ("BatchConflict", conflict_result(index())),
        ("BatchRejected", rejected_result(index())),
    ];
    let names: Vec<&str> = indexed.iter().map(|(name, _)| *name).collect();
    let any = Schema::one_of(names.iter().map(|name| Schema::reference_to(name)));
    for (name, schema) in indexed {
        all.push(name, schema);
    }
    all.push("BatchResult", any.description("What became of one record of a batch."));
    all.push("Counts", counts().description("How many records had which outcome."));
    let line =
        Schema::one_of(names.iter().map(|name| Schema::reference_to(name)).chain([Schema::reference_to("Counts")]));
    all.push("BatchLine", line.description("A result; with `results=failed`, the last line is the counts."));
    let answer = counts().with(
        "results",
        Schema::array(Schema::reference_to("BatchResult")).description("In the order of the records."),
    );
    all.push("BatchAnswer", answer);
}

fn processed_result(before: Schema) -> Schema {
    outcome(before, "processed")
        .with("sequence", sequence())
        .with("processedAt", instant())
        .with("previous", Schema::reference_to("Summary"))
        .with("alerts", Schema::array(Schema::text()).description("The names of the alert rules that it met."))
        .description("Seen for the first time: stored, summed up, and its messages are in the outbox.")
}

fn duplicate_result(before: Schema) -> Schema {
    outcome(before, "duplicate")
        .with("sequence", sequence())
        .with("processedAt", instant())
        .description("Seen before with the same content. No effect, and a success.")
}

fn conflict_result(before: Schema) -> Schema {
    outcome(before, "conflict")
        .with("error", Schema::reference_to("ConflictProblem"))
        .description("Seen before with other content. No effect.")
}

fn rejected_result(before: Schema) -> Schema {
    before
        .with("recordId", record_id().or_null().description("Null where it is not valid itself."))
        .with("outcome", Schema::constant("rejected"))
        .with("error", Schema::reference_to("RefusedProblem"))
        .description("Breaks a rule or a limit. No effect.")
}

fn outcome(before: Schema, outcome: &str) -> Schema {
    before.with("recordId", record_id()).with("outcome", Schema::constant(outcome))
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
    cursor().or_null().description("The `cursor` of the next page; null at the end.")
}

fn answers(all: &mut Ordered<Schema>) {
    let list = |name| Schema::array(Schema::reference_to(name));
    all.push("Records", Schema::object().with("records", list("StoredRecord")).with("next", next()));
    let aggregates = Schema::object()
        .with("groups", list("Group"))
        .with("groupCount", Schema::integer(0).description("Of this answer."))
        .with("recordCount", Schema::integer(0).description("Of this answer."))
        .with("next", next());
    all.push("Aggregates", aggregates);
    let summaries = list("ReferenceSummary").description("Sorted by reference.");
    all.push(
        "Summaries",
        Schema::object().with("destinationId", destination_id()).with("summaries", summaries).with("next", next()),
    );
    all.push("Health", Schema::object().with("status", Schema::constant("ok")));
    let ready = Schema::object()
        .with(
            "status",
            Schema::string_enum(["ready", "degraded"]).description("Degraded: ready, but a dependency is unavailable."),
        )
        .with("dependencies", dependencies())
        .with("breakers", breakers());
    all.push("Readiness", ready);
    let column = || Schema::array(Schema::integer(0)).max_items(INTERVALS_MAX);
    let counts = Schema::object()
        .with("processed", column())
        .with("duplicates", column())
        .with("conflicts", column())
        .with("rejected", column())
        .description("How many records had each outcome in each interval, oldest first.");
    let rates = Schema::object()
        .with("version", Schema::text().description("The version of the program."))
        .with("startedAt", instant().description("When the instance started."))
        .with("totals", Schema::reference_to("Counts"))
        .with("intervalSeconds", Schema::integer(1))
        .with("end", instant().description("When the last interval ended."))
        .with("counts", counts);
    all.push(
        "Rates",
        rates.description("The counts of one instance: all since its start, and those of the last intervals."),
    );
}
