//! The document says what the routes are, refers to nothing that is not there, and is the one that `docs/` keeps.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::*;
use crate::exchange::response::problem::ProblemCode;
use crate::routes::table::{ASSETS, BodyKind, ROUTES};

fn written() -> Value {
    serde_json::from_str(&openapi()).expect("the document is JSON")
}

fn paths() -> Map<String, Value> {
    written()["paths"].as_object().expect("an object").clone()
}

#[test]
fn every_path_of_the_routes_is_described_and_no_other() {
    let described: Vec<String> = paths().keys().cloned().collect();
    let routes = ROUTES.iter().map(|route| route.path.to_owned()).filter(|path| path != ASSETS);
    assert_eq!(described.into_iter().collect::<BTreeSet<_>>(), routes.collect::<BTreeSet<_>>());
}

#[test]
fn the_methods_of_every_path_are_those_of_its_route() {
    for route in ROUTES.iter().filter(|route| route.path != ASSETS) {
        let operations = paths()[route.path].as_object().expect("an object").clone();
        let described: BTreeSet<String> = operations.keys().map(|method| method.to_uppercase()).collect();
        let methods = route.calls.iter().map(|call| call.method.to_string());
        assert_eq!(described, methods.collect(), "{}", route.path);
    }
}

#[test]
fn a_call_describes_its_body_and_its_variable_segment() {
    for route in ROUTES.iter().filter(|route| route.path != ASSETS) {
        for call in route.calls {
            let operation = &paths()[route.path][call.method.as_str().to_lowercase()];
            let what = format!("{} {}", call.method, route.path);
            assert_eq!(operation.get("requestBody").is_some(), call.body != BodyKind::None, "{what}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let names = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let names: Vec<String> =
                names.map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap())).collect();
            let variable = route.path.split('/').filter(|segment| segment.starts_with('{'));
            assert_eq!(names, variable.collect::<Vec<_>>(), "{what}");
        }
    }
}

#[test]
fn what_a_call_needs_is_what_it_says() {
    let security = |path: &str, method: &str| written()["paths"][path][method]["security"].clone();
    assert_eq!(security("/healthz", "get"), serde_json::json!([]));
    assert_eq!(security("/v1/records", "post"), serde_json::json!([{"key": ["ingest"]}, {}]));
    assert_eq!(security("/v1/alert-rules/{name}", "put"), serde_json::json!([{"key": ["admin"]}, {}]));
    assert_eq!(security("/v1/summaries/{destinationId}", "get"), serde_json::json!([{"key": ["read"]}, {}]));
    let all = paths();
    let operations = all.values().flat_map(|path| path.as_object().expect("an object").values());
    for operation in operations {
        let open = operation["security"] == serde_json::json!([]);
        let refused = operation["responses"].as_object().expect("an object").contains_key("401");
        assert_ne!(open, refused, "{}", operation["operationId"]);
    }
}

/// Visits every value of the document.
fn visit(value: &Value, seen: &mut impl FnMut(&Value)) {
    seen(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        Value::Object(members) => members.values().for_each(|member| visit(member, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_is_referred_to_is_there_and_all_that_is_kept_is_referred_to() {
    let document = written();
    let mut referred = BTreeSet::new();
    visit(&document, &mut |value| {
        if let Some(Value::String(to)) = value.get("$ref") {
            assert!(document.pointer(&to[1..]).is_some(), "{to}");
            referred.insert(to.clone());
        }
    });
    for kind in ["schemas", "responses", "headers"] {
        let kept = document["components"][kind].as_object().expect("an object").keys();
        let idle: Vec<_> = kept.filter(|name| !referred.contains(&format!("#/components/{kind}/{name}"))).collect();
        // A client that reads any error wants one schema for them all.
        assert!(
            idle.iter().all(|name| *name == "Problem" || *name == "Record"),
            "{kind} that nothing refers to: {idle:?}"
        );
    }
}

#[test]
fn every_problem_is_described_with_its_status() {
    let text = openapi();
    // `405` goes without saying: a described call has the method that it was called by.
    let codes = ProblemCode::ALL.into_iter().filter(|code| *code != ProblemCode::MethodNotAllowed);
    for code in codes {
        assert!(text.contains(&format!("\"urn:tallyhouse:problem:{}\"", code.name())), "{}", code.name());
    }
}

#[test]
fn names_are_given_once_and_every_call_has_a_group() {
    let document = written();
    let mut names = BTreeSet::new();
    let tags = document["tags"].as_array().expect("a list");
    let groups: BTreeSet<String> = tags.iter().map(|tag| tag["name"].to_string()).collect();
    for operation in paths().values().flat_map(|path| path.as_object().expect("an object").values()) {
        assert!(names.insert(operation["operationId"].to_string()), "{}", operation["operationId"]);
        assert!(groups.contains(&operation["tags"][0].to_string()), "{}", operation["operationId"]);
        let statuses: Vec<&String> = operation["responses"].as_object().expect("an object").keys().collect();
        assert_eq!(statuses.iter().collect::<BTreeSet<_>>().len(), statuses.len());
    }
}

#[test]
fn a_name_is_written_once_in_an_object() {
    // A reader of JSON keeps one of two and says nothing.
    for object in [
        documented_twice(&operations::all()),
        documented_twice(&schemas::all()),
        documented_twice(&problems::shared()),
        documented_twice(&responses::headers()),
    ] {
        assert_eq!(object, None);
    }
    for (path, operations) in &operations::all().0 {
        for (method, operation) in &operations.0 {
            assert_eq!(documented_twice(&operation.responses), None, "{method} {path}");
        }
    }
}

fn documented_twice<T>(names: &Ordered<T>) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.0.iter().map(|(name, _)| name).find(|name| !seen.insert(*name))
}

#[test]
fn the_files_in_docs_are_what_the_program_says() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let renew = "renew it by `cargo run -p tallyhouse-http --example openapi -- docs`";
    let kept = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap_or_default();
    assert!(kept("openapi.json") == openapi(), "docs/openapi.json is not what the program says: {renew}");
    assert!(kept("asyncapi.yaml") == asyncapi_yaml(), "docs/asyncapi.yaml is not what the program says: {renew}");
    for (name, text) in message_schemas() {
        assert!(kept(&format!("schemas/{name}")) == text, "docs/schemas/{name} is not what the program says: {renew}");
    }
}

#[test]
fn the_schemas_of_messages_stand_by_themselves() {
    for (name, text) in message_schemas() {
        let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
        visit(&schema, &mut |value| {
            if let Some(Value::String(to)) = value.get("$ref") {
                assert!(schema.pointer(&to[1..]).is_some(), "{name}: {to}");
            }
        });
    }
}

#[test]
fn what_the_description_of_the_queues_refers_to_is_there() {
    let document: Value = serde_json::from_str(&asyncapi()).expect("the document is JSON");
    let mut count = 0;
    visit(&document, &mut |value| {
        if let Some(Value::String(to)) = value.get("$ref") {
            assert!(document.pointer(&to[1..]).is_some(), "{to}");
            count += 1;
        }
    });
    assert!(count > 20, "{count}");
}

#[test]
fn yaml_is_written_in_blocks() {
    let value = serde_json::json!({"a": {"b": [1, "x: \"y\"", [], {"c": null}], "d": {}}, "e": true});
    let text = "\"a\":\n  \"b\":\n    - 1\n    - \"x: \\\"y\\\"\"\n    - []\n    -\n      \"c\": null\n  \"d\": {}\n\"e\": true\n";
    assert_eq!(asyncapi::yaml(&value), text);
}

#[test]
fn every_problem_has_a_schema_of_its_own() {
    // A generator makes a type of each inline schema; a problem that many calls share has one name.
    let document = written();
    let is_named = |schema: &Value| {
        let either = schema["oneOf"].as_array().cloned().unwrap_or_default();
        schema["$ref"].is_string() || (!either.is_empty() && either.iter().all(|part| part["$ref"].is_string()))
    };
    visit(&document, &mut |value| {
        if let Some(media) = value.get("application/problem+json") {
            assert!(is_named(&media["schema"]), "{media}");
        }
    });
}
