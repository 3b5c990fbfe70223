//! The API described by OpenAPI 3.1, derived from the limits, problems and routes of the code itself.
//!
//! Schemas are built by hand, not derived. The core derives none; our types have hand-written serializers, so that no
//! value goes through a float; and an attribute can't read a limit that is a constant in code.

mod model;
mod operations;
mod operation_builder;
mod writing;
mod reading;
mod rules;
mod service;
mod parameters;
mod responses;
mod problems;
mod schemas;
mod messages;
mod fields;
mod asyncapi;

use model::{Components, DIALECT, Document, Info, License, Ordered, SecurityScheme, Server, Tag};

const DESCRIPTION: &str = "Takes records, processes each exactly once, and answers queries over them with exact totals.\n\n\
    A success on a write means: on disk. A `5xx` on a write, or no answer, means: repeat it safely, since a record that is sent \
    again is recognised. Unknown and repeated query parameters are refused. Every error is a problem document (RFC 9457). `HEAD` \
    works wherever `GET` does, and a path that is asked by another method answers `405` with `Allow`.";

/// Writes the OpenAPI 3.1 document of the API.
#[must_use]
pub fn openapi() -> String {
    serde_json::to_string_pretty(&document()).expect("the document is always JSON") + "\n"
}

/// Writes the JSON Schemas of the messages: the file name and the text, for notifications and for alerts.
#[must_use]
pub fn message_schemas() -> [(&'static str, String); 2] {
    messages::standalone(&schemas::all())
}

/// Writes the AsyncAPI 3.0 document of the queues and messages in Redis, in JSON.
#[must_use]
pub fn asyncapi() -> String {
    asyncapi::document(&schemas::all()).to_string()
}

/// Writes the same document in YAML.
#[must_use]
pub fn asyncapi_yaml() -> String {
    asyncapi::yaml(&asyncapi::document(&schemas::all()))
}

fn document() -> Document {
    let key = SecurityScheme {
        kind: "http",
        scheme: "bearer",
        description: "Where the service has a keys file: a key of `tallyhouse keys new`, with the scope that the call names. \
                      Where it has none, no key is needed.",
    };
    Document {
        openapi: "3.1.0",
        info: Info {
            title: "Tallyhouse",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Exactly-once record processing with exact totals",
            description: DESCRIPTION,
            license: License { name: "MIT OR Apache-2.0", identifier: "MIT OR Apache-2.0" },
        },
        dialect: DIALECT,
        servers: [Server { url: "/", description: "The service that answered with this document" }],
        tags: tags(),
        paths: operations::all(),
        components: Components {
            schemas: schemas::all(),
            responses: problems::shared(),
            headers: responses::headers(),
            security_schemes: Ordered(vec![("key".to_owned(), key)]),
        },
    }
}

fn tags() -> Vec<Tag> {
    let tags = [
        ("Writing", "Records, each processed exactly once"),
        ("Reading", "Records, exact totals, exports"),
        ("Messages", "One notification for every record, one alert for every rule that it met: CloudEvents 1.0"),
        ("Dead letters", "Queue payloads that were refused"),
        ("Alert rules", "Which records the alerting service is told about"),
        ("Service", "The service itself; open without a key, but for its metrics"),
    ];
    tags.map(|(name, description)| Tag { name, description }).into()
}

#[cfg(test)]
mod tests;
