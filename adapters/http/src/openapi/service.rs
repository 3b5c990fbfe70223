//! The calls about the service itself. All but its metrics are open to everybody.

use super::description::{Description, call};
use super::model::Schema;
use super::problems::answer;
use super::responses::{describe, json, media};

const TAG: &str = "Service";

const READY: &str = r#"{"status":"ready","dependencies":{"storage":"up","redis":"up"},"breakers":{"storage":"closed","publishing":"closed","queue-list":"closed","queue-stream":"closed"}}"#;

pub(super) fn healthz() -> Description {
    call("isAlive", TAG, "Says that the process answers")
        .answers(200, json("It does.", "Health").shows(r#"{"status":"ok"}"#))
}

pub(super) fn readyz() -> Description {
    let unready = answer(
        "Storage does not answer or takes no records, or the service is stopping.",
        Schema::named("UnreadyProblem"),
    );
    call("isReady", TAG, "Says whether the service can do its work")
        .answers(200, json("It can.", "Readiness").shows(READY))
        .answers(503, unready.with_header("Retry-After"))
}

pub(super) fn metrics() -> Description {
    let page = describe("The page, as every version of Prometheus reads it.");
    call("readMetrics", TAG, "All that the service counts")
        .says("`docs/METRICS.md` lists what there is, and what to ask of it.")
        .answers(200, page.with_content("text/plain", media(Schema::text())))
}

pub(super) fn openapi() -> Description {
    kept("readOpenApi", "This document", "application/json", Schema::object())
}

pub(super) fn docs() -> Description {
    kept("readDocs", "This document as a page for people", "text/html", Schema::text())
}

pub(super) fn dashboard() -> Description {
    kept("readDashboard", "The dashboard, a page for people", "text/html", Schema::text())
}

/// What is the same until the next upgrade, and asked about by its tag.
fn kept(id: &'static str, summary: &'static str, media_type: &'static str, schema: Schema) -> Description {
    call(id, TAG, summary)
        .answers(200, describe("The whole.").with_content(media_type, media(schema)).tagged())
        .may_be_known()
}
