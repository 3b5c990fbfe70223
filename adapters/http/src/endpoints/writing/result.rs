//! Serializes the outcome of one record: as a response, and as an element of a batch.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;
use tallyhouse_pipeline::{Field, Outcome, RecordId, Rejection, RejectionCode};
use warp::reply::{Reply, Response};

use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::{Problem, ProblemCode};

/// Marks the success of a duplicate.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An outcome as it is written. In a batch it has an index.
pub(crate) struct WriteResult<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) outcome: &'a Outcome,
}

impl Serialize for WriteResult<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        if let Some(index) = self.index {
            object.serialize_entry("index", &index)?;
        }
        object.serialize_entry("recordId", &self.outcome.record_id())?;
        object.serialize_entry("outcome", self.outcome.name())?;
        match self.outcome {
            Outcome::Processed(stored) => {
                object.serialize_entry("sequence", &stored.processed.sequence)?;
                object.serialize_entry("processedAt", &stored.processed.processed_at)?;
                object.serialize_entry("previous", &stored.previous)?;
                object.serialize_entry("alerts", &stored.alert_names())?;
            }
            Outcome::Duplicate { sequence, processed_at, .. } => {
                object.serialize_entry("sequence", sequence)?;
                object.serialize_entry("processedAt", processed_at)?;
            }
            Outcome::Conflict { differs, .. } => object.serialize_entry("error", &conflict(differs))?,
            Outcome::Rejected(rejection) => object.serialize_entry("error", &rejected(rejection))?,
        }
        object.end()
    }
}

/// Makes the response to the write of one record.
pub(crate) fn answer(outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Processed(_) => success(StatusCode::CREATED, outcome),
        Outcome::Duplicate { .. } => {
            let mut response = success(StatusCode::OK, outcome);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            response
        }
        Outcome::Conflict { record_id, differs } => {
            identified(conflict(differs), Some(record_id), outcome).into_response()
        }
        Outcome::Rejected(rejection) => {
            identified(rejected(rejection), rejection.record_id.as_ref(), outcome).into_response()
        }
    }
}

fn success(status: StatusCode, outcome: &Outcome) -> Response {
    let result = WriteResult { index: None, outcome };
    json_response(status, serde_json::to_vec(&result).expect("a result is always JSON"))
}

/// Refuses a body that is not a valid record or rule.
pub(crate) fn refused(rejection: &Rejection) -> Problem {
    match rejection.code {
        RejectionCode::NotJson => {
            let reasons: Vec<&str> = rejection.errors.iter().map(|error| error.detail.as_str()).collect();
            Problem::new(ProblemCode::NotJson, format!("The body can't be read: {}.", reasons.join(", ")))
        }
        RejectionCode::TooLarge | RejectionCode::Rejected => rejected(rejection),
    }
}

/// Refuses a record that the caller's key may not write.
pub(crate) fn forbidden(rejection: &Rejection) -> Problem {
    Problem::new(ProblemCode::Forbidden, format!("The record may not be written: {}.", rejection.detail()))
}

fn identified(problem: Problem, record_id: Option<&RecordId>, outcome: &Outcome) -> Problem {
    problem.with("recordId", json!(record_id)).with("outcome", json!(outcome.name()))
}

fn conflict(differs: &[Field]) -> Problem {
    let names: Vec<&str> = differs.iter().map(|field| field.name()).collect();
    let detail = format!("The record was processed before with other content: {}.", names.join(", "));
    Problem::new(ProblemCode::Conflict, detail).with("differs", json!(names))
}

fn rejected(rejection: &Rejection) -> Problem {
    let code = match rejection.code {
        RejectionCode::NotJson => ProblemCode::NotJson,
        RejectionCode::TooLarge => ProblemCode::TooLarge,
        RejectionCode::Rejected => ProblemCode::Rejected,
    };
    Problem::new(code, rejection.detail()).with("errors", json!(rejection.errors))
}
