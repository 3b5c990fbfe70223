//! Problem documents: their members, their status, and what they never show.

use tallyhouse_pipeline::ports::{PortError, PortErrorKind};

use super::*;

const ALL: [ProblemCode; 16] = [
    ProblemCode::NotJson,
    ProblemCode::BadParameter,
    ProblemCode::Unauthorized,
    ProblemCode::Forbidden,
    ProblemCode::NotFound,
    ProblemCode::MethodNotAllowed,
    ProblemCode::Timeout,
    ProblemCode::Conflict,
    ProblemCode::HistoryChanged,
    ProblemCode::TooLarge,
    ProblemCode::UnsupportedMediaType,
    ProblemCode::Rejected,
    ProblemCode::RateLimited,
    ProblemCode::Internal,
    ProblemCode::Unavailable,
    ProblemCode::Overloaded,
];

#[test]
fn a_problem_has_the_four_members_of_the_rfc_and_its_own() {
    let json = serde_json::to_value(Problem::parameter("limit", "is odd")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "type": "urn:tallyhouse:problem:bad-parameter", "title": "Bad parameter", "status": 400,
            "detail": "The parameter \"limit\" is odd.",
            "errors": [{ "parameter": "limit", "detail": "is odd" }],
        })
    );
}

#[test]
fn every_code_is_answered_with_its_status_and_the_media_type_of_problems() {
    for code in ALL {
        let response = Problem::new(code, "x").into_response();
        assert_eq!(response.status(), code.status());
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers().contains_key(RETRY_AFTER), response.status() == 503, "{code:?}");
        assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    }
    assert_eq!(Problem::method_not_allowed("GET".to_owned()).into_response().headers()[ALLOW], "GET");
    assert_eq!(Problem::rate_limited(7).into_response().headers()[RETRY_AFTER], "7");
    let unauthorized = Problem::new(ProblemCode::Unauthorized, "x").into_response();
    assert_eq!(unauthorized.headers()[WWW_AUTHENTICATE], "Bearer");
}

#[test]
fn the_cause_of_a_failed_port_is_not_shown() {
    for (kind, code) in [
        (PortErrorKind::Unavailable, ProblemCode::Unavailable),
        (PortErrorKind::Refused, ProblemCode::Internal),
        (PortErrorKind::Corrupt, ProblemCode::Internal),
        (PortErrorKind::Misuse, ProblemCode::Internal),
    ] {
        let problem = Problem::from(PortError::new(kind, "reading", "SELECT secret"));
        assert_eq!(problem.code, code);
        assert!(problem.cause.as_ref().is_some_and(|cause| cause.ends_with(": SELECT secret")), "{problem:?}");
        assert!(!serde_json::to_string(&problem).unwrap().contains("secret"));
    }
}

#[test]
fn a_full_intake_is_overload_and_the_rest_is_unavailable() {
    for (error, code) in [
        (SubmitError::Overloaded, ProblemCode::Overloaded),
        (SubmitError::Unavailable(None), ProblemCode::Unavailable),
        (SubmitError::Stopped, ProblemCode::Unavailable),
    ] {
        assert_eq!(Problem::from(error).code, code);
    }
}
