//! The calls that show and change alert rules.

use crate::exchange::response::problem::ProblemCode;

use super::messages::{RULE, rule_name};
use super::model::{Parameter, Response, Schema};
use super::operation_builder::{OperationBuilder, call, no_content};
use super::parameters::{header, path, window};
use super::problems::{answer, plain};
use super::responses::{json, media};

const TAG: &str = "Alert rules";

const MANAGED: &str = r#"{"name":"late","threshold":"120","unit":"minute","type":"positive","origin":"managed","inForce":true,"changedAt":"2026-01-01T00:00:00.000001Z"}"#;

const RULES: &str = r#"{"rules":[{"name":"default","threshold":"10000","origin":"setting","inForce":true},{"name":"late","threshold":"120","unit":"minute","type":"positive","origin":"managed","inForce":true,"changedAt":"2026-01-01T00:00:00.000001Z"}]}"#;

const DRY_RUN: &str = r#"{"complete":true,"recordCount":842,"backTo":"2026-01-01T00:00:00.000001Z","alertCount":1,"firstTime":"2013-01-02T10:00:00Z","lastTime":"2013-01-02T10:00:00Z","destinationCount":1,"destinations":[{"destinationId":"MIA","alertCount":1}],"alerts":[{"specversion":"1.0","type":"tallyhouse.record.alert.v1","source":"urn:tallyhouse:alerts","id":"2013-01-02-AA1141-JFK-MIA/late","subject":"MIA","time":"2026-01-01T00:00:00.000001Z","datacontenttype":"application/json","position":"2~fffe56f120267b62","data":{"record":{"recordId":"2013-01-02-AA1141-JFK-MIA","time":"2013-01-02T10:00:00Z","sourceId":"AA","destinationId":"MIA","type":"positive","value":"130","unit":"minute","reference":"JFK"},"sequence":2,"rule":{"name":"late","threshold":"120","unit":"minute","type":"positive"}}}]}"#;

pub(super) fn list() -> OperationBuilder {
    call("listAlertRules", TAG, "All alert rules, with where they come from")
        .response(
            200,
            json("The rules of the settings, then the managed ones by name.", "AlertRules").with_example(RULES),
        )
        .not_found("This service manages no rules.")
        .unavailable()
}

pub(super) fn read() -> OperationBuilder {
    call("readAlertRule", TAG, "The rule in force of this name")
        .with(name())
        .response(200, rule_response("The rule."))
        .not_found("There is no rule of this name.")
        .unavailable()
}

pub(super) fn put() -> OperationBuilder {
    let rule = media(Schema::reference_to("AlertRuleDraft")).with_example("late", "More than two hours late", RULE);
    let only_new = header("If-None-Match", Schema::string_enum(["*"]), "Only creates. Not together with `If-Match`.");
    call("putAlertRule", TAG, "Creates or replaces a managed rule")
        .description(
            "In force on every instance from the answer on. A managed rule wins over one of the settings of its name.",
        )
        .with(name())
        .with(if_match())
        .with(only_new)
        .body("A rule, with or without its name.".to_owned(), [("application/json", rule)])
        .response(201, rule_response("Created."))
        .response(200, rule_response("Replaced, or the same as before."))
        .response(412, changed())
        .response(
            422,
            answer("It breaks a rule of rules, or is one too many.", Schema::reference_to("RejectedProblem")),
        )
        .not_found("This service manages no rules.")
        .unavailable()
}

pub(super) fn delete() -> OperationBuilder {
    call("deleteAlertRule", TAG, "Deletes a managed rule")
        .description("A rule of the settings that it hid is in force again.")
        .with(name())
        .with(if_match())
        .response(204, no_content("Deleted."))
        .response(412, changed())
        .not_found("There is no managed rule of this name.")
        .unavailable()
}

pub(super) fn dry_run() -> OperationBuilder {
    let rule = media(Schema::reference_to("AlertRuleDraft")).with_example("late", "More than two hours late", RULE);
    call("tryAlertRule", TAG, "What a rule would have raised over the records that are stored")
        .description(
            "Nothing is written and nothing published. The rule need not exist, and the others play no part. Totals count all \
             records from the first on; `start` and `end` say which records may raise an alert.",
        )
        .with(name())
        .with_all(window())
        .body("A rule, with or without its name.".to_owned(), [("application/json", rule)])
        .response(200, json("What it would have raised.", "DryRun").with_example(DRY_RUN))
        .response(422, answer("It breaks a rule of rules.", Schema::reference_to("RejectedProblem")))
        .not_found("This service manages no rules.")
        .unavailable_or_overloaded()
}

fn name() -> Parameter {
    path("name", rule_name(), "The name of the rule.", "\"late\"")
}

fn if_match() -> Parameter {
    header("If-Match", Schema::text(), "The `ETag` of what is to be changed: only if nobody has changed it since.")
}

fn rule_response(description: &str) -> Response {
    json(description, "ShownAlertRule").with_header("ETag").with_example(MANAGED)
}

fn changed() -> Response {
    plain("The managed rule is not, or no more, what the request expects.", &[ProblemCode::PreconditionFailed])
}
