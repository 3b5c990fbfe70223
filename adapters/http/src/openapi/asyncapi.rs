//! The queues and messages in Redis described by AsyncAPI 3.0, with the schemas of the OpenAPI document.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::fields::instant;
use super::messages::needed;
use super::model::{Ordered, SCHEMAS, Schema};

/// A channel: its name, its address, its description, whether Tallyhouse reads it, and the schema of an entry.
type Channel = (&'static str, &'static str, &'static str, bool, Schema);

/// Writes the description as a JSON value.
pub(super) fn document(schemas: &Ordered<Schema>) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    let mut names = BTreeSet::new();
    for (name, address, summary, is_read, payload) in all() {
        let payload = serde_json::to_value(payload).expect("a schema is always JSON");
        let text = payload.to_string();
        let referred = text.split(SCHEMAS).skip(1).filter_map(|rest| rest.split('"').next());
        referred.for_each(|schema| names.append(&mut needed(schemas, schema)));
        messages.insert(name.to_owned(), json!({"contentType": "application/json", "payload": payload}));
        let message = json!({"entry": {"$ref": format!("#/components/messages/{name}")}});
        channels.insert(name.to_owned(), json!({"address": address, "summary": summary, "messages": message}));
        let action = if is_read { "receive" } else { "send" };
        operations
            .insert(name.to_owned(), json!({"action": action, "channel": {"$ref": format!("#/channels/{name}")}}));
    }
    let parts = schemas.0.iter().filter(|(name, _)| names.contains(name));
    let parts =
        parts.map(|(name, schema)| (name.clone(), serde_json::to_value(schema).expect("a schema is always JSON")));
    let parts: Map<String, Value> = parts.collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tallyhouse: queues and messages",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What Tallyhouse reads from Redis and writes there. All addresses begin with the setting redis.prefix. \
                            Operations are those of Tallyhouse: it receives records, and sends messages and dead letters.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"redis": {"host": "127.0.0.1:6379", "protocol": "redis", "description": "The setting redis.url."}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": parts},
    })
}

fn all() -> [Channel; 7] {
    let text = |schema: &str| format!("JSON: a `{schema}`.");
    let message = |schema: &str| Schema::object().with("message", Schema::text().description(text(schema)));
    let entry = Schema::object().with("record", Schema::text().description(text("Record"))).with_optional(
        "traceparent",
        Schema::text().description("A trace context, handed on with the record's messages."),
    );
    let letter = Schema::object()
        .with("payload", Schema::text().description("As it came."))
        .with("reason", Schema::reference_to("DeadLetterReason"))
        .with("detail", Schema::text())
        .with("origin", Schema::reference_to("Queue"))
        .with("at", instant().description("When it was refused."));
    [
        (
            "recordsList",
            "tallyhouse:records",
            "A list: producers LPUSH one record.",
            true,
            Schema::reference_to("Record"),
        ),
        ("recordsStream", "tallyhouse:records:stream", "A stream: producers XADD these fields.", true, entry),
        (
            "notifications",
            "tallyhouse:notifications",
            "A PUBLISH channel.",
            false,
            Schema::reference_to("Notification"),
        ),
        ("alerts", "tallyhouse:alerts", "A PUBLISH channel.", false, Schema::reference_to("Alert")),
        (
            "notificationsStream",
            "tallyhouse:notifications:stream",
            "A stream with these fields, where redis.durable is on.",
            false,
            message("Notification"),
        ),
        (
            "alertsStream",
            "tallyhouse:alerts:stream",
            "A stream with these fields, where redis.durable is on.",
            false,
            message("Alert"),
        ),
        ("deadLetters", "tallyhouse:dead-letters", "A stream with these fields: refused payloads.", false, letter),
    ]
}

/// Writes a value as YAML in block style, with texts and names as in JSON.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let mut entry = |head: String, value: &Value| {
        let is_block = match value {
            Value::Object(members) => !members.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        let (sign, rest) = if is_block { ("", String::new()) } else { (" ", value.to_string()) };
        writeln!(text, "{indent}{head}{sign}{rest}").expect("writing to a String never fails");
        if is_block {
            block(value, depth + 1, text);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| entry(format!("{}:", json!(name)), value)),
        Value::Array(items) => items.iter().for_each(|item| entry("-".to_owned(), item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
