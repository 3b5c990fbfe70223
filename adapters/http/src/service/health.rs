//! `/healthz`: the process answers. `/readyz`: the instance can process records, and is not stopping.
//!
//! An instance that is not ready gets no more traffic, and must become ready again without any. So the storage breaker
//! probes by itself whether records can be written.

use futures::future::join_all;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tallyhouse_pipeline::BreakerState;
use tokio::time::timeout;
use warp::reply::{Reply, Response};

use crate::app::health_probe::ProbeState;
use crate::app::state::App;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::{Problem, ProblemCode, chain};

/// `GET /healthz`.
pub(crate) fn alive() -> Response {
    json_response(StatusCode::OK, b"{\"status\":\"ok\"}".to_vec())
}

/// `GET /readyz`: `ready`, `degraded`, or a problem. `degraded` counts as ready: only an optional dependency is down,
/// or a circuit breaker is not closed.
pub(crate) async fn ready(app: &App) -> Response {
    let probe_timeout = app.settings.probe_timeout;
    let breaker = app.http.breakers.storage();
    let storage = async {
        match timeout(probe_timeout, app.http.repository.ping()).await {
            // A store that answers pings, but refuses records or is too slow for them, keeps its breaker open.
            Ok(Ok(())) if breaker.state() == BreakerState::Open => {
                Err(with_reason("Writes to storage fail", breaker.reason()))
            }
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(error = %chain(&error), "storage is down");
                Err(with_reason("Storage does not answer", error.reason()))
            }
            Err(_elapsed) => Err(with_reason("Storage does not answer", None)),
        }
    };
    let others = join_all(app.http.probes.iter().map(|probe| async move {
        (probe.name(), timeout(probe_timeout, probe.check()).await.unwrap_or(ProbeState::Down))
    }));
    let (storage, others) = tokio::join!(storage, others);

    let mut dependencies = Map::new();
    let state = if storage.is_ok() { ProbeState::Up } else { ProbeState::Down };
    dependencies.insert("storage".to_owned(), state.name().into());
    dependencies.extend(others.iter().map(|(name, state)| ((*name).to_owned(), Value::from(state.name()))));
    let states = app.http.breakers.all().into_iter().map(|breaker| (breaker.name().to_owned(), breaker.state()));
    let states: Vec<(String, BreakerState)> = states.collect();
    let breakers = states.iter().map(|(name, state)| (name.clone(), Value::from(state.name()))).collect();

    if app.stop.is_cancelled() {
        return unready("The service is stopping.", dependencies, breakers);
    }
    if let Err(detail) = storage {
        return unready(&detail, dependencies, breakers);
    }
    let degraded = others.iter().any(|(_, state)| *state == ProbeState::Down)
        || states.iter().any(|(_, state)| *state != BreakerState::Closed);
    let status = if degraded { "degraded" } else { "ready" };
    let state = json!({ "status": status, "dependencies": dependencies, "breakers": Value::Object(breakers) });
    json_response(StatusCode::OK, state.to_string().into_bytes())
}

/// Returns a sentence with its reason, if that is known.
fn with_reason(what: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{what}: {reason}."),
        None => format!("{what}."),
    }
}

fn unready(detail: &str, dependencies: Map<String, Value>, breakers: Map<String, Value>) -> Response {
    Problem::new(ProblemCode::Unavailable, detail)
        .with("dependencies", dependencies.into())
        .with("breakers", breakers.into())
        .into_response()
}
