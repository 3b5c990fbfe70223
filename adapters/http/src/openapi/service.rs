//! The calls about the service itself. All but its metrics are open to everybody.

use super::model::Schema;
use super::operation_builder::{OperationBuilder, call};
use super::problems::answer;
use super::responses::{json, media, response};

const TAG: &str = "Service";

const READY: &str = r#"{"status":"ready","dependencies":{"storage":"up","redis":"up"},"breakers":{"storage":"closed","publishing":"closed","queue-list":"closed","queue-stream":"closed"}}"#;

const RATES: &str = r#"{"version":"0.1.0","startedAt":"2026-01-01T00:00:00.000001Z","totals":{"processed":31,"duplicates":2,"conflicts":0,"rejected":1},"intervalSeconds":2,"end":"2026-01-01T00:00:06Z","counts":{"processed":[0,12,17],"duplicates":[0,0,2],"conflicts":[0,0,0],"rejected":[0,1,0]}}"#;

pub(super) fn healthz() -> OperationBuilder {
    call("isAlive", TAG, "Says that the process answers")
        .response(200, json("It does.", "Health").with_example(r#"{"status":"ok"}"#))
}

pub(super) fn readyz() -> OperationBuilder {
    let unready = answer(
        "Storage does not answer or takes no records, or the service is stopping.",
        Schema::reference_to("UnreadyProblem"),
    );
    call("isReady", TAG, "Says whether the service can do its work")
        .response(200, json("It can.", "Readiness").with_example(READY))
        .response(503, unready.with_header("Retry-After"))
}

pub(super) fn metrics() -> OperationBuilder {
    let page = response("The page, as every version of Prometheus reads it.");
    call("readMetrics", TAG, "All that the service counts")
        .description("`docs/METRICS.md` lists what there is, and what to ask of it.")
        .response(200, page.with_content("text/plain", media(Schema::text())))
}

pub(super) fn rates() -> OperationBuilder {
    call("readRates", TAG, "How many records had which outcome, by interval")
        .description(
            "What the instance that answers has counted in the last five minutes. Intervals begin at the multiples of their length \
             since 1970, so that those of several instances can be added. The dashboard draws them.",
        )
        .response(200, json("The counts.", "Rates").with_example(RATES))
}

pub(super) fn openapi() -> OperationBuilder {
    cached("readOpenApi", "This document", "application/json", Schema::object())
}

pub(super) fn docs() -> OperationBuilder {
    cached("readDocs", "This document as a page for people", "text/html", Schema::text())
}

pub(super) fn dashboard() -> OperationBuilder {
    cached("readDashboard", "The dashboard, a page for people", "text/html", Schema::text())
}

/// A response that stays the same until the next upgrade, and is revalidated by its `ETag`.
fn cached(id: &'static str, summary: &'static str, media_type: &'static str, schema: Schema) -> OperationBuilder {
    call(id, TAG, summary)
        .response(200, response("The whole.").with_content(media_type, media(schema)).with_etag())
        .conditional()
}
