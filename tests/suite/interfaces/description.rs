//! The OpenAPI document of a service, and real answers held against it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};

/// The document of a service, and what of it was seen.
pub(crate) struct Description {
    document: Value,
    /// Calls and statuses: `GET /v1/records 200`.
    seen: BTreeSet<String>,
}

impl Description {
    /// Asks a service for it. A member that the document does not name is an error here, if not for those who read it:
    /// an answer must have none.
    #[track_caller]
    pub(crate) fn of(http: &Client) -> Self {
        let mut document = http.get("/openapi.json").expect_status(200).json();
        let schemas = document["components"]["schemas"].as_object_mut().expect("an object");
        // What is sent may have more.
        schemas.iter_mut().filter(|(name, _)| *name != "Record").for_each(|(_, schema)| close(schema));
        Self { document, seen: BTreeSet::new() }
    }

    /// Says whether there is anything at a path.
    pub(crate) fn describes(&self, path: &str) -> bool {
        self.document["paths"][path].is_object()
    }

    /// Makes a call by its path with the values of its variable parts, and holds the answer against what is said of it.
    #[track_caller]
    pub(crate) fn call(&mut self, http: &Client, method: &str, path: &str, target: &str) -> Answer {
        let answer = send(http.request(method, target));
        self.check(method, path, answer)
    }

    /// Holds the answer of a call against what is said of it.
    #[track_caller]
    pub(crate) fn check(&mut self, method: &str, path: &str, answer: Answer) -> Answer {
        let place = format!("{method} {path} {}", answer.status);
        let described = &self.document["paths"][path][method.to_lowercase()]["responses"][answer.status.to_string()];
        assert!(described.is_object(), "{place} is not described: {}", String::from_utf8_lossy(&answer.body));
        let described = self.resolved(described);
        self.check_headers(&place, described, &answer);
        self.check_body(&place, described, &answer);
        self.seen.insert(place);
        answer
    }

    fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(to) => self.document.pointer(&to[1..]).expect("what is referred to is there"),
            None => part,
        }
    }

    #[track_caller]
    fn check_headers(&self, place: &str, described: &Value, answer: &Answer) {
        for (name, header) in described["headers"].as_object().expect("every answer has some") {
            let header = self.resolved(header);
            let Some(text) = answer.header(name) else {
                assert_ne!(header["required"], true, "{place}: {name} is missing");
                continue;
            };
            let value =
                if header["schema"]["type"] == "integer" { text.parse().unwrap_or_default() } else { json!(text) };
            self.check_value(&format!("{place}: {name}"), &header["schema"], &value);
        }
        for name in ["link", "etag", "retry-after", "www-authenticate", "ratelimit", "idempotent-replayed"] {
            let names = described["headers"].as_object().expect("an object").keys();
            let is_described = names.map(|name| name.to_lowercase()).any(|described| described == name);
            assert!(is_described || answer.header(name).is_none(), "{place}: {name} is not described");
        }
    }

    #[track_caller]
    fn check_body(&self, place: &str, described: &Value, answer: &Answer) {
        let Some(content) = described["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place}: {}", answer.text());
            return;
        };
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().expect("it begins");
        let media = content.get(media_type).unwrap_or_else(|| panic!("{place}: {media_type} is not described"));
        if media_type == "application/x-ndjson" {
            for line in answer.json_lines() {
                self.check_value(place, &media["x-itemSchema"], &line);
            }
        } else if media_type.ends_with("json") {
            self.check_value(place, &media["schema"], &answer.json());
        } else {
            self.check_value(place, &media["schema"], &json!(answer.text()));
        }
    }

    /// Holds a value against a schema of the document.
    #[track_caller]
    pub(crate) fn check_value(&self, place: &str, schema: &Value, value: &Value) {
        let mut rooted = schema.clone();
        rooted["components"] = self.document["components"].clone();
        check(place, &rooted, value);
    }

    /// Returns the calls of these statuses that were never seen.
    pub(crate) fn unseen(&self, statuses: &[&str]) -> Vec<String> {
        let paths = self.document["paths"].as_object().expect("an object");
        let calls = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().expect("an object").iter().flat_map(move |(method, call)| {
                let statuses = call["responses"].as_object().expect("an object").keys();
                statuses.map(move |status| (status.clone(), format!("{} {path} {status}", method.to_uppercase())))
            })
        });
        let wanted = calls.filter(|(status, _)| statuses.contains(&status.as_str()));
        wanted.map(|(_, place)| place).filter(|place| !self.seen.contains(place)).collect()
    }

    /// Takes over what another one saw.
    pub(crate) fn add(&mut self, other: Self) {
        self.seen.extend(other.seen);
    }
}

/// Holds a value against a schema that stands by itself.
#[track_caller]
pub(crate) fn check(place: &str, schema: &Value, value: &Value) {
    let validator: Validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("{place}: the schema is none: {error}"));
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{place}: {} in {value}", errors.join("; "));
}

/// Lets objects have no members but those that are named.
pub(crate) fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            let is_schema = members.get("properties").is_some_and(Value::is_object) && members.contains_key("type");
            if is_schema && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
