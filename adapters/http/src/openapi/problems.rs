//! The schemas of problem documents, and the error responses that carry them.

use hyper::StatusCode;

use crate::exchange::response::problem::ProblemCode;

use super::fields::{breakers, dependencies, position, record_id};
use super::model::{Media, Ordered, Response, Schema};
use super::responses::{rate_limited, response};

/// The problems without further members.
const PLAIN: [ProblemCode; 12] = [
    ProblemCode::NotJson,
    ProblemCode::Unauthorized,
    ProblemCode::Forbidden,
    ProblemCode::NotFound,
    ProblemCode::Timeout,
    ProblemCode::PreconditionFailed,
    ProblemCode::TooLarge,
    ProblemCode::UnsupportedMediaType,
    ProblemCode::RateLimited,
    ProblemCode::Internal,
    ProblemCode::Unavailable,
    ProblemCode::Overloaded,
];

/// The media type of a problem (RFC 9457).
const PROBLEM: &str = "application/problem+json";

pub(super) fn schemas(all: &mut Ordered<Schema>) {
    let any = Schema::object()
        .with("type", Schema::text().pattern("^urn:tallyhouse:problem:[a-z-]+$").format("uri"))
        .with("title", Schema::text())
        .with("status", Schema::integer(400).maximum(599))
        .with("detail", Schema::text());
    all.push(
        "Problem",
        any.description("Every error is such a document, with further members by its type (RFC 9457)."),
    );
    for code in PLAIN {
        all.push(name_of(code), problem(&[code]));
    }
    all.push("HeadTooLargeProblem", head_too_large());
    let parameter = Schema::object().with("parameter", Schema::text()).with("detail", Schema::text());
    all.push("ParameterFault", parameter.description("A parameter, and what is wrong with it."));
    let errors = Schema::array(Schema::reference_to("ParameterFault")).non_empty();
    all.push("ParameterProblem", problem(&[ProblemCode::BadParameter]).with("errors", errors));
    let differs = || Schema::array(Schema::reference_to("RecordField")).non_empty();
    let conflict = || problem(&[ProblemCode::Conflict]).with("differs", differs());
    all.push("ConflictProblem", conflict().description("The fields in which it differs from what was processed."));
    let changed = problem(&[ProblemCode::HistoryChanged])
        .with("head", position().description("The position of the last message."));
    all.push("HistoryChangedProblem", changed);
    let fault = Schema::object()
        .with("pointer", Schema::text().description("A JSON pointer (RFC 6901); empty for the whole."))
        .with("detail", Schema::text());
    all.push("Fault", fault.description("A part of what was sent, and what is wrong with it."));
    let refused = || Schema::array(Schema::reference_to("Fault")).non_empty();
    all.push("RejectedProblem", problem(&[ProblemCode::Rejected]).with("errors", refused()));
    let kinds = [ProblemCode::Rejected, ProblemCode::NotJson, ProblemCode::TooLarge];
    all.push(
        "RefusedProblem",
        problem(&kinds).with("errors", refused()).description("Why a record of a batch is none."),
    );
    let outcome =
        |problem: Schema, id: Schema, outcome| problem.with("recordId", id).with("outcome", Schema::constant(outcome));
    all.push("ConflictAnswer", outcome(conflict(), record_id(), "conflict"));
    let id = record_id().or_null().description("Null where it is not valid itself.");
    all.push("RejectedAnswer", outcome(problem(&[ProblemCode::Rejected]).with("errors", refused()), id, "rejected"));
    let id = record_id().or_null().description("Null: it is not read.");
    let too_large = problem(&[ProblemCode::TooLarge]).with("errors", refused());
    all.push("TooLargeAnswer", outcome(too_large, id, "rejected"));
    let unready =
        problem(&[ProblemCode::Unavailable]).with("dependencies", dependencies()).with("breakers", breakers());
    all.push("UnreadyProblem", unready);
}

/// The name of the schema of a problem without further members.
fn name_of(code: ProblemCode) -> String {
    let words = code.name().split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Problem"
}

/// The body is not JSON.
pub(super) fn not_json() -> Schema {
    Schema::reference_to(&name_of(ProblemCode::NotJson))
}

/// The problem of one of these codes.
fn problem(codes: &[ProblemCode]) -> Schema {
    let (kind, title) = match codes {
        [code] => (Schema::constant(urn(*code)), Schema::constant(code.title())),
        codes => (
            Schema::string_enum(codes.iter().copied().map(urn)),
            Schema::string_enum(codes.iter().map(|code| code.title())),
        ),
    };
    let mut statuses: Vec<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    statuses.dedup();
    let status = match statuses[..] {
        [status] => Schema::constant_number(status),
        _ => Schema::any_of(statuses.into_iter().map(Schema::constant_number)),
    };
    document(kind, title, status)
}

fn document(kind: Schema, title: Schema, status: Schema) -> Schema {
    Schema::object().with("type", kind).with("title", title).with("status", status).with("detail", Schema::text())
}

fn urn(code: ProblemCode) -> String {
    format!("urn:tallyhouse:problem:{}", code.name())
}

/// The problem of a request head that is too large, which has its own status.
fn head_too_large() -> Schema {
    let (kind, title) = (Schema::constant(urn(ProblemCode::TooLarge)), Schema::constant(ProblemCode::TooLarge.title()));
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16();
    document(kind, title, Schema::constant_number(status))
}

/// The responses that many calls share.
pub(super) fn shared() -> Ordered<Response> {
    let parameter = || Schema::reference_to("ParameterProblem");
    let unauthorized = plain("There are keys, and none of them was given.", &[ProblemCode::Unauthorized]);
    let forbidden = "The key lacks the scope, or may not write the record; or a page of another host would write.";
    let again = "It can't be done now. Repeat it after `Retry-After`; a write may be repeated safely.";
    let full = [ProblemCode::Unavailable, ProblemCode::Overloaded];
    let later = |answer: Response| answer.with_header("Retry-After");
    let shared = [
        ("BadParameter", rate_limited(answer("A parameter is unknown, repeated, or has a bad value.", parameter()))),
        (
            "BadBodyOrParameter",
            rate_limited(answer(
                "The body is not JSON, or a parameter is bad.",
                Schema::one_of([not_json(), parameter()]),
            )),
        ),
        ("Unauthorized", unauthorized.with_header("WWW-Authenticate")),
        ("Forbidden", plain(forbidden, &[ProblemCode::Forbidden])),
        ("TooSlow", rate_limited(plain("The body came too slowly.", &[ProblemCode::Timeout]))),
        ("TooLarge", rate_limited(plain("The body is too large. Nothing was processed.", &[ProblemCode::TooLarge]))),
        (
            "UnsupportedMediaType",
            rate_limited(plain("The body is of another type.", &[ProblemCode::UnsupportedMediaType])),
        ),
        ("RateLimited", later(rate_limited(plain("The rate limit is used up.", &[ProblemCode::RateLimited])))),
        ("HeadTooLarge", answer("The head of the request is too large.", Schema::reference_to("HeadTooLargeProblem"))),
        ("Internal", plain("A fault of the service.", &[ProblemCode::Internal])),
        ("Unavailable", later(rate_limited(plain(again, &[ProblemCode::Unavailable])))),
        ("UnavailableOrFull", later(rate_limited(plain(again, &full)))),
    ];
    Ordered(shared.into_iter().map(|(name, answer)| (name.to_owned(), answer)).collect())
}

/// The response with a problem of this schema.
pub(super) fn answer(description: &str, schema: Schema) -> Response {
    let media = Media { schema, line: None, examples: Ordered::default() };
    response(description).with_content(PROBLEM, media)
}

/// The response with a problem of one of these codes, without further members.
pub(super) fn plain(description: &str, codes: &[ProblemCode]) -> Response {
    let mut named = codes.iter().map(|code| Schema::reference_to(&name_of(*code)));
    let schema = match (named.next(), codes.len()) {
        (Some(only), 1) => only,
        (first, _) => Schema::one_of(first.into_iter().chain(named)),
    };
    answer(description, schema)
}
