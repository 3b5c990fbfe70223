//! Dead letters: listed, replayed, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tallyhouse_pipeline::ports::{DeadLetter, DeadLetters, PortError, PortErrorKind};
use tallyhouse_pipeline::{Outcome, Rejection};
use warp::reply::{Reply, Response};

use crate::app::state::App;
use crate::endpoints::writing::record;
use crate::endpoints::writing::result;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::request::traceparent;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::keys::key_ring::Grant;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    dead_letters: Vec<Entry<'a>>,
    /// The cursor of the next page; null at the end.
    next: Option<&'a str>,
}

struct Entry<'a>(&'a DeadLetter);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let DeadLetter { id, payload, reason, detail, origin, at } = self.0;
        let mut object = serializer.serialize_map(Some(6))?;
        object.serialize_entry("id", id)?;
        match std::str::from_utf8(payload) {
            Ok(text) => object.serialize_entry("payload", text)?,
            Err(_not_text) => object.serialize_entry("payloadBase64", &STANDARD.encode(payload))?,
        }
        object.serialize_entry("reason", reason)?;
        object.serialize_entry("detail", detail)?;
        object.serialize_entry("origin", origin)?;
        object.serialize_entry("at", at)?;
        object.end()
    }
}

/// `GET /v1/dead-letters`, oldest first.
pub(crate) async fn list(app: &App, query: &str) -> Result<Response, Problem> {
    let store = store(app)?;
    let parameters = Parameters::read(query, &["after", "limit"])?;
    let limit = parameters.limit()?;
    let after = parameters.text("after").map(str::to_owned);
    // One row more than requested shows whether there is a next page.
    let mut found = store.list(after, limit + 1).await.map_err(|error| match error.kind() {
        PortErrorKind::Misuse => Problem::parameter("after", "must be an id as it was handed out"),
        PortErrorKind::Unavailable | PortErrorKind::Refused | PortErrorKind::Corrupt => store_problem(error),
    })?;
    // The store may end a page early to bound its bytes, so a short page is not the last one.
    let more = found.len() > limit
        || match found.last() {
            Some(last) => !store.list(Some(last.id.clone()), 1).await.map_err(store_problem)?.is_empty(),
            None => false,
        };
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|letter| letter.id.as_str());
    let page = Page { dead_letters: found.iter().map(Entry).collect(), next };
    Ok(json_response(StatusCode::OK, serde_json::to_vec(&page).expect("dead letters are always JSON")))
}

/// `POST /v1/dead-letters/{id}/replay`: processes the payload as if it were posted with this request's trace; a success
/// ends the dead letter.
pub(crate) async fn replay(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    grant: Option<&Grant>,
    id: &str,
) -> Result<Response, Problem> {
    let store = store(app)?;
    Parameters::none(query)?;
    let letter = store.find(id).await.map_err(store_problem)?.ok_or_else(missing)?;
    let bytes_max = app.settings.record_bytes_max;
    let outcome = if letter.payload.len() > bytes_max {
        Outcome::Rejected(Rejection::too_large(bytes_max))
    } else {
        record::process(app, &letter.payload, traceparent::of(headers), grant).await?
    };
    match outcome {
        // If the removal fails, the next replay finds a duplicate and removes the dead letter then.
        Outcome::Processed(_) | Outcome::Duplicate { .. } => _ = store.remove(id).await.map_err(store_problem)?,
        Outcome::Conflict { .. } | Outcome::Rejected(_) => {}
    }
    Ok(result::answer(&outcome))
}

/// `DELETE /v1/dead-letters/{id}`.
pub(crate) async fn remove(app: &App, query: &str, id: &str) -> Result<Response, Problem> {
    let store = store(app)?;
    Parameters::none(query)?;
    if store.remove(id).await.map_err(store_problem)? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing())
    }
}

fn store(app: &App) -> Result<&dyn DeadLetters, Problem> {
    let none = || Problem::new(ProblemCode::NotFound, "There are no dead letters here: no queue is connected.");
    app.http.dead_letters.as_deref().ok_or_else(none)
}

/// Dead letters have a store of their own, so the problem names it.
fn store_problem(error: PortError) -> Problem {
    let is_unavailable = error.kind() == PortErrorKind::Unavailable;
    let problem = Problem::from(error);
    if is_unavailable {
        problem.with_detail("The dead letters can't be reached; repeat the request later.")
    } else {
        problem
    }
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound, "There is no dead letter with this id.")
}
