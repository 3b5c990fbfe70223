//! The schemas of messages, alert rules and dead letters.

use std::collections::BTreeSet;

use serde::Serialize;
use tallyhouse_pipeline::DryRunReport;

use super::fields::{
    destination_id, instant, position, record_id, record_type, reference, source_id, threshold, unit, value_out,
};
use super::model::{DIALECT, Ordered, SCHEMAS, Schema};

/// The pattern of a rule's name.
const RULE_NAME: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

/// A trace context: W3C Trace Context, section 3.2.
const TRACEPARENT: &str = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}";

/// A rule as it is sent.
pub(super) const RULE: &str = r#"{"threshold":"120","unit":"minute","type":"positive"}"#;

pub(super) fn schemas(all: &mut Ordered<Schema>) {
    rules(all);
    all.push("NotificationData", notification_data());
    all.push("Notification", notification());
    all.push("AlertData", alert_data());
    all.push("Alert", alert());
    for (name, message) in [("Notifications", "Notification"), ("Alerts", "Alert")] {
        let next = position().description("Where to go on: the `after` of the next call.");
        all.push(
            name,
            Schema::object().with("messages", Schema::array(Schema::reference_to(message))).with("next", next),
        );
    }
    all.push("DeadLetterReason", Schema::string_enum(["rejected", "conflict", "not-json", "too-large"]));
    all.push("Queue", Schema::string_enum(["list", "stream"]).description("The queue that a payload came by."));
    let letter = |name: &str, payload: Schema| {
        Schema::object()
            .with("id", Schema::text())
            .with(name, payload)
            .with("reason", Schema::reference_to("DeadLetterReason"))
            .with("detail", Schema::text())
            .with("origin", Schema::reference_to("Queue"))
            .with("at", instant().description("When it was refused."))
    };
    all.push("DeadLetter", letter("payload", Schema::text().description("As it came.")));
    let bytes = Schema::text().format("byte").description("As it came, in Base64: it is not UTF-8.");
    all.push("BinaryDeadLetter", letter("payloadBase64", bytes));
    let any = Schema::one_of([Schema::reference_to("DeadLetter"), Schema::reference_to("BinaryDeadLetter")]);
    let letters = Schema::object()
        .with("deadLetters", Schema::array(any).description("Oldest first."))
        .with("next", Schema::text().or_null().description("The `after` of the next page; null at the end."));
    all.push("DeadLetters", letters);
}

fn rules(all: &mut Ordered<Schema>) {
    all.push("RuleThreshold", threshold().description("A decimal of at least 0."));
    let draft = || {
        Schema::object()
            .with_optional("name", rule_name())
            .with("threshold", Schema::reference_to("RuleThreshold"))
            .with_optional(
                "origin",
                Schema::default().description("Passed over, so that what was read can be written back."),
            )
            .with_optional("inForce", Schema::default().description("Passed over."))
            .with_optional("changedAt", Schema::default().description("Passed over."))
            .without_additional_properties()
    };
    let description = "A rule, with or without its name.";
    either_rule(all, "AlertRuleDraft", ["ValueRuleDraft", "TotalRuleDraft"], draft, description);
    let rule = || Schema::object().with("name", rule_name()).with("threshold", value_out());
    either_rule(all, "AlertRule", ["ValueRule", "TotalRule"], rule, "An alert rule as it was at the commit.");
    all.push("RuleOrigin", Schema::string_enum(["setting", "file", "managed"]).description("Where a rule comes from."));
    let shown = || {
        rule()
            .with("origin", Schema::reference_to("RuleOrigin"))
            .with("inForce", Schema::boolean().description("False where a managed rule of the same name hides it."))
            .with_optional("changedAt", instant().description("Of a managed rule."))
    };
    let description = "An alert rule, and where it comes from.";
    either_rule(all, "ShownAlertRule", ["ShownValueRule", "ShownTotalRule"], shown, description);
    all.push("AlertRules", Schema::object().with("rules", Schema::array(Schema::reference_to("ShownAlertRule"))));
    all.push("DryRun", dry_run());
}

/// Adds the schemas of a rule on values, of a rule on totals, and of either.
fn either_rule(
    all: &mut Ordered<Schema>,
    name: &str,
    [on_value, on_total]: [&str; 2],
    begin: impl Fn() -> Schema,
    description: &str,
) {
    let value =
        Schema::constant("value").description("The value of a record is compared with the threshold: the default.");
    let value = begin()
        .with_optional("on", value)
        .with_optional("unit", unit())
        .with_optional("type", record_type())
        .with_optional("destinationId", destination_id())
        .with_optional("sourceId", source_id())
        .with_optional("reference", reference());
    all.push(on_value, value.description("A rule on the values of records."));
    let total = Schema::constant("total").description("The net total of a key is compared with the threshold.");
    let total = begin()
        .with("on", total)
        .with_optional("unit", unit())
        .with_optional("destinationId", destination_id())
        .with_optional("reference", reference());
    all.push(on_total, total.description("A rule on totals, which has neither `type` nor `sourceId`."));
    all.push(name, Schema::one_of([on_value, on_total].map(Schema::reference_to)).description(description));
}

/// The report of a dry run: the alerts that a rule would have raised.
fn dry_run() -> Schema {
    let count = |description: &str| Schema::integer(0).description(description);
    let destination = Schema::object().with("destinationId", destination_id()).with("alertCount", Schema::integer(1));
    let destinations = Schema::array(destination).max_items(DryRunReport::DESTINATIONS_LISTED);
    let alerts = Schema::array(Schema::reference_to("Alert")).max_items(DryRunReport::ALERTS_LISTED);
    let complete = "Whether all records were looked at; else only the newest. Every number is exact for those.";
    Schema::object()
        .with("complete", Schema::boolean().description(complete))
        .with("recordCount", count("How many records of the window were looked at."))
        .with("backTo", instant().or_null().description("When the oldest record was processed that was looked at."))
        .with("alertCount", count("How many alerts there would be."))
        .with("firstTime", instant().or_null().description("The first `time` of a record with an alert."))
        .with("lastTime", instant().or_null().description("The last one."))
        .with("destinationCount", count("Of how many destinations the alerts would be."))
        .with("destinations", destinations.description("Those with most alerts, most first."))
        .with("alerts", alerts.description("The latest, in the order of processing, the latest first."))
        .description("What an alert rule would have raised.")
}

pub(super) fn rule_name() -> Schema {
    Schema::text_of_length(1..=63).pattern(RULE_NAME)
}

fn notification_data() -> Schema {
    Schema::object().with("record", Schema::reference_to("WrittenRecord")).with("sequence", Schema::integer(1)).with(
        "previous",
        Schema::reference_to("Summary").description("Of the records of this key with lower sequences."),
    )
}

fn notification() -> Schema {
    let data = Schema::reference_to("NotificationData");
    let id =
        record_id().description("The record's id: with `source` it never changes, so that a repeat is recognised.");
    event("tallyhouse.record.processed.v1", "urn:tallyhouse:records", id, data)
        .description("Published for every processed record: a CloudEvent 1.0 in JSON.")
        .example(
            r#"{"specversion":"1.0","type":"tallyhouse.record.processed.v1","source":"urn:tallyhouse:records","id":"2013-01-01-UA1714-LGA-IAH","subject":"IAH","time":"2026-01-01T00:00:00.000001Z","datacontenttype":"application/json","position":"1~2f91f9c8d3b43bcf","data":{"record":{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA"},"sequence":1,"previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]}}}"#,
        )
}

fn alert_data() -> Schema {
    Schema::object()
        .with("record", Schema::reference_to("WrittenRecord"))
        .with("sequence", Schema::integer(1))
        .with("rule", Schema::reference_to("AlertRule"))
}

fn alert() -> Schema {
    let data = Schema::reference_to("AlertData");
    let id = Schema::text().description("The record's id and the rule's name, with a slash between.");
    event("tallyhouse.record.alert.v1", "urn:tallyhouse:alerts", id, data)
        .description("Published for every rule that a processed record met: a CloudEvent 1.0 in JSON.")
        .example(
            r#"{"specversion":"1.0","type":"tallyhouse.record.alert.v1","source":"urn:tallyhouse:alerts","id":"2013-01-02-AA1141-JFK-MIA/late","subject":"MIA","time":"2026-01-01T00:00:00.000001Z","datacontenttype":"application/json","position":"2~fffe56f120267b62","data":{"record":{"recordId":"2013-01-02-AA1141-JFK-MIA","time":"2013-01-02T10:00:00Z","sourceId":"AA","destinationId":"MIA","type":"positive","value":"130","unit":"minute","reference":"JFK"},"sequence":2,"rule":{"name":"late","threshold":"120","unit":"minute","type":"positive"}}}"#,
        )
}

fn event(event_type: &str, source: &str, id: Schema, data: Schema) -> Schema {
    let description = format!("`{source}`, unless a setting says otherwise.");
    Schema::object()
        .with("specversion", Schema::constant("1.0"))
        .with("type", Schema::constant(event_type))
        .with("source", Schema::text().format("uri-reference").description(description))
        .with("id", id)
        .with("subject", destination_id().description("The record's destination."))
        .with("time", instant().description("When the record was processed."))
        .with("datacontenttype", Schema::constant("application/json"))
        .with_optional(
            "traceparent",
            Schema::text().pattern(TRACEPARENT).description("The trace context that came with the record."),
        )
        .with("position", position().description("Where the message stands: a reader that has it goes on `after` it."))
        .with("data", data)
}

/// A self-contained schema: JSON Schema, draft 2020-12.
#[derive(Serialize)]
struct Standalone {
    #[serde(rename = "$schema")]
    dialect: &'static str,
    #[serde(rename = "$id")]
    id: String,
    #[serde(rename = "$ref")]
    reference: String,
    #[serde(rename = "$defs")]
    parts: Ordered<Schema>,
}

/// Writes the self-contained schemas of both messages: file name and text.
pub(super) fn standalone(all: &Ordered<Schema>) -> [(&'static str, String); 2] {
    [("notification.json", "Notification"), ("alert.json", "Alert")].map(|(file, name)| {
        let needed = needed(all, name);
        let standalone = Standalone {
            dialect: DIALECT,
            id: format!("urn:tallyhouse:schema:{}:v1", name.to_lowercase()),
            reference: format!("{SCHEMAS}{name}"),
            parts: Ordered(all.0.iter().filter(|(part, _)| needed.contains(part)).cloned().collect()),
        };
        let text = serde_json::to_string_pretty(&standalone).expect("a schema is always JSON");
        (file, text.replace(SCHEMAS, "#/$defs/") + "\n")
    })
}

/// Returns the names of a schema and of all schemas that it refers to.
pub(super) fn needed(all: &Ordered<Schema>, name: &str) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let Some((_, schema)) = all.0.iter().find(|(known, _)| *known == name) else { continue };
        if needed.insert(name) {
            let text = serde_json::to_string(schema).expect("a schema is always JSON");
            open.extend(text.split(SCHEMAS).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    needed
}
