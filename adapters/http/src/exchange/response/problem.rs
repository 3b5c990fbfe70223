//! Problem documents (RFC 9457), the form of every error. Their texts are fixed; the cause is logged once, and never
//! shown.

use std::error::Error;

use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use tallyhouse_pipeline::ports::{PortError, PortErrorKind};
use tallyhouse_pipeline::{ErrorChain, FeedError, SubmitError};
use warp::reply::{Reply, Response};

use crate::exchange::context::RequestContext;
use crate::exchange::observe::log_throttle::LogThrottle;

/// Throttles the log line of unavailable storage, which every request would repeat.
static UNSERVED: LogThrottle = LogThrottle::new();

/// `Retry-After` of a `503`, in seconds: a short outage of storage ends within a retry or two, and a full intake drains
/// within one second.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The status for a request head that is too large. The problem has the code of too large bodies, but this status (RFC
/// 6585, section 5).
const HEAD_TOO_LARGE: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;

/// The statuses of successes.
const SUCCESSES: [StatusCode; 4] =
    [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];

/// Returns all statuses of the service's responses, in ascending order.
pub(crate) fn statuses() -> Vec<StatusCode> {
    let problems = ProblemCode::ALL.map(ProblemCode::status);
    let mut statuses: Vec<StatusCode> = SUCCESSES.into_iter().chain(problems).chain([HEAD_TOO_LARGE]).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The codes of problems: the last part of their `type`, `urn:tallyhouse:problem:<code>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    /// The body is not well-formed JSON in UTF-8.
    NotJson,
    /// A query parameter or a part of the path is unknown, repeated, or has an invalid value.
    BadParameter,
    /// There is no key, or an unknown one.
    Unauthorized,
    /// The key lacks the scope or may not write the record, or a page of another host would write.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The body came too slowly.
    Timeout,
    /// The record's id was seen before with other content.
    Conflict,
    /// The cursor belongs to a history that the store has lost, for example because a backup was restored.
    HistoryChanged,
    /// The resource is not in the state that the request expects.
    PreconditionFailed,
    /// The body is larger than allowed.
    TooLarge,
    /// The media type or the encoding of the body is not supported by this call.
    UnsupportedMediaType,
    /// The record, or the alert rule, breaks a rule or a limit.
    Rejected,
    /// The caller has sent more than its rate allows.
    RateLimited,
    /// A fault of the service.
    Internal,
    /// Storage is unavailable, or the service is stopping.
    Unavailable,
    /// The intake, or another bounded resource, is full.
    Overloaded,
}

impl ProblemCode {
    /// All codes.
    pub(crate) const ALL: [Self; 17] = [
        Self::NotJson,
        Self::BadParameter,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::HistoryChanged,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Rejected,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::Overloaded,
    ];

    /// Returns the code as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not-json",
            Self::BadParameter => "bad-parameter",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::HistoryChanged => "history-changed",
            Self::PreconditionFailed => "precondition-failed",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Rejected => "rejected",
            Self::RateLimited => "rate-limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
        }
    }

    /// Returns the HTTP status of the code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotJson | Self::BadParameter => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::HistoryChanged => StatusCode::GONE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the title: the same text for every problem of this code.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::NotJson => "Not well-formed JSON",
            Self::BadParameter => "Bad parameter",
            Self::Unauthorized => "Key needed",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Timeout => "Request too slow",
            Self::Conflict => "Conflict with an earlier record",
            Self::HistoryChanged => "History changed",
            Self::PreconditionFailed => "Changed meanwhile",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::Rejected => "Rejected",
            Self::RateLimited => "Too many requests",
            Self::Internal => "Internal error",
            Self::Unavailable => "Unavailable",
            Self::Overloaded => "Overloaded",
        }
    }
}

/// One problem document. Handlers return it as their error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    code: ProblemCode,
    /// The status, if it differs from that of the code.
    status: Option<StatusCode>,
    detail: String,
    /// Members beyond the four of RFC 9457 that every problem has.
    members: Vec<(&'static str, Json)>,
    /// The methods of the path, for `Allow` in a `405`.
    allow: Option<String>,
    /// `Retry-After` in seconds, where it is known.
    retry_after: Option<u64>,
    /// The cause, for the log only.
    cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, status: None, detail, members: Vec::new(), allow: None, retry_after: None, cause: None }
    }

    /// Replaces the detail.
    pub(crate) fn with_detail(self, detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..self }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Json) -> Self {
        self.members.push((name, value));
        self
    }

    /// Refuses a parameter, and says what is wrong with it.
    pub(crate) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(ProblemCode::BadParameter, format!("The parameter {name:?} {reason}."))
            .with("errors", serde_json::json!([{ "parameter": name, "detail": reason.to_string() }]))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "There is nothing at this path.")
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let problem = Self::new(ProblemCode::MethodNotAllowed, format!("The methods of this path are {allow}."));
        Self { allow: Some(allow), ..problem }
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(ProblemCode::TooLarge, format!("The body must be at most {bytes_max} bytes."))
    }

    pub(crate) fn head_too_large() -> Self {
        let problem = Self::new(ProblemCode::TooLarge, "The head of the request is too large.");
        Self { status: Some(HEAD_TOO_LARGE), ..problem }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code == ProblemCode::NotFound
    }

    fn status(&self) -> StatusCode {
        self.status.unwrap_or(self.code.status())
    }

    pub(crate) fn rate_limited(retry_after: u64) -> Self {
        let problem = Self::new(ProblemCode::RateLimited, "The rate limit is used up; repeat the request later.");
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// Refuses a call without a known key.
    pub(crate) fn unauthorized() -> Self {
        Self::new(ProblemCode::Unauthorized, "This call needs a key: Authorization: Bearer, and the key.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(ProblemCode::Internal, "The service failed; a write may be repeated safely.")
    }

    /// Logs the cause, if there is one. Called once, where the request is answered.
    pub(crate) fn log(&self, context: &RequestContext) {
        let Some(cause) = &self.cause else { return };
        let (request_id, trace_id) = (context.request_id(), context.trace_id());
        match self.code {
            ProblemCode::Internal => tracing::error!(request_id, trace_id, error = %cause, "a request failed"),
            _ => match UNSERVED.try_pass() {
                Some(others) => {
                    tracing::warn!(request_id, trace_id, others, error = %cause, "a request can't be served now");
                }
                None => tracing::debug!(request_id, trace_id, error = %cause, "a request can't be served now"),
            },
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(4 + self.members.len()))?;
        object.serialize_entry("type", &format_args!("urn:tallyhouse:problem:{}", self.code.name()))?;
        object.serialize_entry("title", self.code.title())?;
        object.serialize_entry("status", &self.status().as_u16())?;
        object.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.members {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

impl Reply for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is always JSON");
        let mut response = body.into_response();
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::try_from(allow).expect("methods are fit for a header"));
        }
        if self.code == ProblemCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let unavailable = self.code.status() == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.retry_after.or_else(|| unavailable.then_some(RETRY_AFTER_SECONDS)) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::HistoryChanged { head } => {
                let detail = "The history has changed since this position was handed out: start over.";
                Self::new(ProblemCode::HistoryChanged, detail).with("head", head.to_string().into())
            }
            FeedError::Port(error) => error.into(),
        }
    }
}

impl From<PortError> for Problem {
    /// The detail says only how to react; the cause is kept for the log.
    fn from(error: PortError) -> Self {
        let problem = match error.kind() {
            PortErrorKind::Unavailable => {
                Self::new(ProblemCode::Unavailable, "Storage is unavailable; repeat the request later.")
            }
            PortErrorKind::Refused | PortErrorKind::Corrupt | PortErrorKind::Misuse => Self::internal(),
        };
        Self { cause: Some(chain(&error)), ..problem }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let code = match error {
            SubmitError::Overloaded => ProblemCode::Overloaded,
            SubmitError::Unavailable(_) | SubmitError::Stopped => ProblemCode::Unavailable,
        };
        // The pipeline logs the causes, once for a whole batch.
        Self::new(code, format!("The service can't take records now: {error}. Repeating them is safe."))
    }
}

/// Formats an error with its sources, for the log.
pub(crate) fn chain(error: &dyn Error) -> String {
    ErrorChain(error).to_string()
}

#[cfg(test)]
mod tests;
