//! The document says what the routes are, refers to nothing that is not there, and is the one that `docs/` keeps.

use std::collections::BTreeSet;
use std::path::Path;

use hyper::Method;
use serde_json::{Map, Value};

use super::*;
use crate::access::admission::Access;
use crate::access::keys::Scope;
use crate::answer::problem::ProblemCode;
use crate::dispatch;

/// The table of routes, as it is written.
const ROUTES: &str = include_str!("../dispatch.rs");

/// What the pages load is no part of the API.
const FILES: &str = "/assets/{}";

fn written() -> Value {
    serde_json::from_str(&openapi()).expect("the document is JSON")
}

fn paths() -> Map<String, Value> {
    written()["paths"].as_object().expect("an object").clone()
}

/// Leaves the names of the variable parts of a path out: `/v1/records/{}`.
fn form_of(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The paths of the table, out of the patterns of `Route::find`.
fn forms_of_routes() -> BTreeSet<String> {
    let arms = ROUTES.lines().map(str::trim).filter(|line| line.starts_with("[\"") && line.contains(" => "));
    let pattern = |line: &str| line[1..].split(']').next().expect("it begins").to_owned();
    let part = |part: &str| match part.trim().strip_prefix('"') {
        Some(literal) => literal.trim_end_matches('"').to_owned(),
        None => "{}".to_owned(),
    };
    let form = |pattern: String| format!("/{}", pattern.split(", ").map(part).collect::<Vec<_>>().join("/"));
    arms.map(pattern).map(form).collect()
}

#[test]
fn every_path_of_the_routes_is_described_and_no_other() {
    let mut routes = forms_of_routes();
    assert!(routes.len() > 15, "{routes:?}");
    assert!(routes.remove(FILES), "the files of the pages are there: {routes:?}");
    // Its path is that of a record, which has other methods.
    routes.insert("/v1/records/batch".to_owned());
    let described: BTreeSet<String> = paths().keys().map(|path| form_of(path)).collect();
    assert_eq!(described, routes);
}

#[test]
fn the_methods_of_every_path_are_those_of_its_route() {
    for (path, operations) in &paths() {
        let described = operations.as_object().expect("an object").keys().map(|method| method.to_uppercase());
        let mut described: BTreeSet<String> = described.collect();
        // These go without saying.
        if described.contains("GET") {
            described.insert("HEAD".to_owned());
        }
        described.insert("OPTIONS".to_owned());
        let allowed = dispatch::allowed_at(path).split(", ").map(str::to_owned);
        assert_eq!(described, allowed.collect(), "{path}");
    }
}

#[test]
fn what_a_call_needs_is_what_it_says() {
    let security = |path: &str, method: &str| written()["paths"][path][method]["security"].clone();
    assert_eq!(security("/healthz", "get"), serde_json::json!([]));
    assert_eq!(security("/v1/records", "post"), serde_json::json!([{"key": ["ingest"]}, {}]));
    assert_eq!(security("/v1/alert-rules/{name}", "put"), serde_json::json!([{"key": ["admin"]}, {}]));
    assert_eq!(dispatch::access_to("/v1/summaries/{destinationId}", &Method::GET), Access::Needs(Scope::Read));
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
        // Whoever reads errors in general wants one schema for them all.
        assert!(
            idle.iter().all(|name| *name == "Problem" || *name == "Record"),
            "{kind} that nothing refers to: {idle:?}"
        );
    }
}

#[test]
fn every_problem_is_described_with_its_status() {
    let text = openapi();
    let codes = [
        ProblemCode::NotJson,
        ProblemCode::BadParameter,
        ProblemCode::Unauthorized,
        ProblemCode::Forbidden,
        ProblemCode::NotFound,
        ProblemCode::Timeout,
        ProblemCode::Conflict,
        ProblemCode::PreconditionFailed,
        ProblemCode::TooLarge,
        ProblemCode::UnsupportedMediaType,
        ProblemCode::Rejected,
        ProblemCode::RateLimited,
        ProblemCode::Internal,
        ProblemCode::Unavailable,
        ProblemCode::Overloaded,
    ];
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
        documented_twice(&answers::headers()),
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
