//! The alert rules: all are shown with their origin, and the managed ones can be changed.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde::Serialize;
use serde_json::json;
use tallyhouse_pipeline::{
    ManagedRule, ManagedRules, Precondition, Rule, RuleEdit, RuleEditOutcome, RuleName, Timestamp,
};
use warp::reply::{Reply, Response};

use crate::app::alert_rules::AlertRules;
use crate::app::state::App;
use crate::endpoints::writing::result;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::media::{self, Media};
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::{Problem, ProblemCode};

/// The name of the rule that the setting `alerts.threshold` makes.
const DEFAULT_RULE: &str = "default";

/// The members of a shown rule that a rule does not have. A body may hold them, so that a rule can be read and written
/// back.
const READ_ONLY_MEMBERS: [&str; 3] = ["origin", "inForce", "changedAt"];

/// A rule as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleView<'a> {
    #[serde(flatten)]
    rule: &'a Rule,
    origin: &'static str,
    in_force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<Timestamp>,
}

impl<'a> RuleView<'a> {
    fn of_host(rule: &'a Rule, managed: &ManagedRules) -> Self {
        let origin = if rule.name() == DEFAULT_RULE { "setting" } else { "file" };
        Self { rule, origin, in_force: managed.find(rule.name()).is_none(), changed_at: None }
    }

    fn managed(managed: &'a ManagedRule) -> Self {
        Self { rule: &managed.rule, origin: "managed", in_force: true, changed_at: Some(managed.changed_at) }
    }
}

/// `GET /v1/alert-rules`: the host's own rules as they were given, then the managed ones by name.
pub(crate) async fn list(app: &App, query: &str) -> Result<Response, Problem> {
    let rules = managed(app)?;
    Parameters::none(query)?;
    let managed = rules.repository.managed_rules().await?;
    let own = rules.own.iter().map(|rule| RuleView::of_host(rule, &managed));
    let all: Vec<RuleView<'_>> = own.chain(managed.rules.iter().map(RuleView::managed)).collect();
    Ok(json_response(StatusCode::OK, json!({ "rules": all }).to_string().into_bytes()))
}

/// `GET /v1/alert-rules/{name}`: the rule in force.
pub(crate) async fn read(app: &App, query: &str, name: &str) -> Result<Response, Problem> {
    let rules = managed(app)?;
    Parameters::none(query)?;
    let managed = rules.repository.managed_rules().await?;
    if let Some(found) = managed.find(name) {
        return Ok(rule_response(StatusCode::OK, found));
    }
    let own = rules.own.iter().find(|rule| rule.name() == name).ok_or_else(missing)?;
    Ok(written(StatusCode::OK, &RuleView::of_host(own, &managed)))
}

/// `PUT /v1/alert-rules/{name}`: creates or replaces a managed rule.
pub(crate) async fn put(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
    name: &str,
) -> Result<Response, Problem> {
    let rules = managed(app)?;
    Parameters::none(query)?;
    let precondition = condition(headers)?;
    let rule = read_rule(headers, body, RuleName::Fixed(name)).await?;
    let (name, now) = (name.to_owned(), rules.clock.now());
    let edit = RuleEdit { name, rule: Some(Arc::new(rule)), precondition, now };
    match rules.repository.amend_rules(edit).await? {
        RuleEditOutcome::Created(managed) => Ok(rule_response(StatusCode::CREATED, &managed)),
        RuleEditOutcome::Replaced(managed) | RuleEditOutcome::Unchanged(managed) => {
            Ok(rule_response(StatusCode::OK, &managed))
        }
        RuleEditOutcome::PreconditionFailed => Err(precondition_failed()),
        RuleEditOutcome::Full => Err(too_many_rules()),
        RuleEditOutcome::Deleted(_) | RuleEditOutcome::Missing => Err(Problem::internal()),
    }
}

/// `DELETE /v1/alert-rules/{name}`: deletes a managed rule; the host's own rule of the same name is in force again.
pub(crate) async fn remove(app: &App, query: &str, headers: &HeaderMap, name: &str) -> Result<Response, Problem> {
    let rules = managed(app)?;
    Parameters::none(query)?;
    let (precondition, now) = (condition(headers)?, rules.clock.now());
    let edit = RuleEdit { name: name.to_owned(), rule: None, precondition, now };
    match rules.repository.amend_rules(edit).await? {
        RuleEditOutcome::Deleted(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        RuleEditOutcome::Missing => Err(Problem::new(ProblemCode::NotFound, "There is no managed rule of this name.")),
        RuleEditOutcome::PreconditionFailed => Err(precondition_failed()),
        RuleEditOutcome::Created(_)
        | RuleEditOutcome::Replaced(_)
        | RuleEditOutcome::Unchanged(_)
        | RuleEditOutcome::Full => Err(Problem::internal()),
    }
}

/// Reads the rule in a body, and checks it in full. A body without a media type is taken for JSON.
pub(crate) async fn read_rule(
    headers: &HeaderMap,
    body: &mut RequestBody,
    name: RuleName<'_>,
) -> Result<Rule, Problem> {
    if media::of_body(headers)?.is_some_and(|media| media != Media::Json) {
        return Err(media::unsupported("A rule is sent as application/json."));
    }
    let json = body.read_whole().await?;
    Rule::from_json(&json, name, &READ_ONLY_MEMBERS).map_err(|rejection| result::refused(&rejection))
}

/// Reads the precondition of a change (RFC 9110, section 13.1).
fn condition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let text_of = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default().trim());
    match (text_of(IF_MATCH), text_of(IF_NONE_MATCH)) {
        (None, None) => Ok(Precondition::Any),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some("*"), None) => Ok(Precondition::Present),
        // An unknown tag matches no version.
        (Some(tags), None) => Ok(Precondition::Version(tags.split(',').filter_map(version).collect())),
        (_, Some(_)) => Err(Problem::parameter("If-None-Match", "must be *, and without If-Match")),
    }
}

fn version(tag: &str) -> Option<u64> {
    tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn rule_response(status: StatusCode, managed: &ManagedRule) -> Response {
    let mut response = written(status, &RuleView::managed(managed));
    let tag = HeaderValue::try_from(format!("\"{}\"", managed.version)).expect("digits are fit for a header");
    response.headers_mut().insert(ETAG, tag);
    response
}

fn written(status: StatusCode, shown: &RuleView<'_>) -> Response {
    json_response(status, serde_json::to_vec(shown).expect("a rule is always JSON"))
}

/// Returns the rules, or a problem if the host manages none.
pub(crate) fn managed(app: &App) -> Result<&AlertRules, Problem> {
    app.http.alert_rules.as_ref().ok_or_else(Problem::not_found)
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound, "There is no rule of this name.")
}

fn precondition_failed() -> Problem {
    Problem::new(ProblemCode::PreconditionFailed, "The managed rule is not, or no more, what the request expects.")
}

fn too_many_rules() -> Problem {
    let reason = format!("is one too many: {} managed rules are allowed", ManagedRules::RULES_MAX);
    Problem::new(ProblemCode::Rejected, format!("The rule {reason}."))
        .with("errors", json!([{ "pointer": "", "detail": reason }]))
}
