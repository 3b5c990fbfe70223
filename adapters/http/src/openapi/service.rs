//! The calls about the service itself. All but its metrics are open to everybody.

use hyper::Method;

use super::answers::{describe, json, media};
use super::model::Schema;
use super::operations::{Call, call};
use super::problems::answer;

const TAG: &str = "Service";

const READY: &str = r#"{"status":"ready","dependencies":{"storage":"up","redis":"up"},"breakers":{"storage":"closed","publishing":"closed","queue-list":"closed","queue-stream":"closed"}}"#;

pub(super) fn calls() -> Vec<Call> {
    vec![
        healthz(),
        readyz(),
        metrics(),
        kept("/openapi.json", "readOpenApi", "This document", "application/json", Schema::object()),
        kept("/docs", "readDocs", "This document as a page for people", "text/html", Schema::text()),
        kept("/", "readDashboard", "The dashboard, a page for people", "text/html", Schema::text()),
    ]
}

fn healthz() -> Call {
    call(Method::GET, "/healthz", "isAlive", TAG, "Says that the process answers")
        .answers(200, json("It does.", "Health").shows(r#"{"status":"ok"}"#))
}

fn readyz() -> Call {
    let unready = answer("Storage does not answer, or the service is stopping.", Schema::named("UnreadyProblem"));
    call(Method::GET, "/readyz", "isReady", TAG, "Says whether the service can do its work")
        .answers(200, json("It can.", "Readiness").shows(READY))
        .answers(503, unready.with_header("Retry-After"))
}

fn metrics() -> Call {
    let page = describe("The page, as every version of Prometheus reads it.");
    call(Method::GET, "/metrics", "readMetrics", TAG, "All that the service counts")
        .says("`docs/METRICS.md` lists what there is, and what to ask of it.")
        .answers(200, page.with_content("text/plain", media(Schema::text())))
}

/// What is the same until the next upgrade, and asked about by its tag.
fn kept(path: &'static str, id: &'static str, summary: &'static str, media_type: &'static str, schema: Schema) -> Call {
    call(Method::GET, path, id, TAG, summary)
        .answers(200, describe("The whole.").with_content(media_type, media(schema)).tagged())
        .may_be_known()
}
