//! `POST /v1/alert-rules/{name}/dry-run`: the alerts that a rule would have raised over the stored records. Nothing is
//! written.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use tallyhouse_pipeline::ports::PortError;
use tallyhouse_pipeline::{DestinationId, DryRun, DryRunReport, MessageFormat, RuleName, Timestamp};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use warp::reply::Response;

use crate::app::state::App;
use crate::endpoints::managing::alert_rules;
use crate::exchange::context::RequestContext;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::Problem;
use crate::exchange::response::stream::{self, BodyWriter, Broken};

/// The longest wait before the response begins, and after that the interval between keep-alive blanks.
const BEAT: Duration = Duration::from_secs(1);

/// The response body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRunView {
    complete: bool,
    record_count: u64,
    back_to: Option<Timestamp>,
    alert_count: u64,
    first_time: Option<Timestamp>,
    last_time: Option<Timestamp>,
    destination_count: u64,
    destinations: Vec<DestinationView>,
    alerts: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DestinationView {
    destination_id: DestinationId,
    alert_count: u64,
}

/// Tries the rule in the body. If the time-out passes before every record is examined, the response reports the records
/// examined so far.
pub(crate) async fn try_rule(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
    context: &RequestContext,
    name: &str,
) -> Result<Response, Problem> {
    alert_rules::managed(app)?;
    let window = Parameters::read(query, &["start", "end"])?.filter()?;
    let rule = alert_rules::read_rule(headers, body, RuleName::Fixed(name)).await?;
    let permit = app.aggregates.try_acquire(&context.caller).await?;
    let deadline = Instant::now() + app.settings.dry_run_timeout;
    let run = DryRun::begin(app.reader(&context.caller), Arc::new(rule), window).await?;
    let format = app.http.format.clone();
    let mut answer = Box::pin(async move {
        let _permit = permit;
        let view = view(report(run, deadline).await?, &format);
        Ok::<_, PortError>(serde_json::to_vec(&view).expect("a report is always JSON"))
    });
    // A dry run that ends soon can still report a failure by its status.
    if let Ok(soon) = timeout(BEAT, &mut answer).await {
        return Ok(json_response(StatusCode::OK, soon?));
    }
    let stall_timeout = app.settings.stall_timeout;
    Ok(stream::answer("application/json", stall_timeout, context, move |body_writer| send(body_writer, answer)))
}

/// Runs a dry run until it is complete, or until its deadline.
async fn report(mut run: DryRun, deadline: Instant) -> Result<DryRunReport, PortError> {
    while let Ok(more) = timeout_at(deadline, run.step()).await {
        // A store that answers at once never yields to the timer.
        if !more? || Instant::now() >= deadline {
            break;
        }
    }
    Ok(run.report())
}

/// Sends the report once it is ready, and blanks until then, which JSON allows before a value. Only a write notices
/// that the client has gone, and the rest of the work would be wasted.
async fn send(
    mut body_writer: BodyWriter,
    mut answer: impl Future<Output = Result<Vec<u8>, PortError>> + Unpin,
) -> Result<BodyWriter, Broken> {
    loop {
        body_writer.send(&b" "[..]).await?;
        tokio::select! {
            json = &mut answer => {
                body_writer.send(json?).await?;
                return Ok(body_writer);
            }
            () = sleep(BEAT) => {}
            () = body_writer.closed() => return Err(Broken::Disconnected),
        }
    }
}

fn view(report: DryRunReport, format: &MessageFormat) -> DryRunView {
    let message = |alert| RawValue::from_string(format.to_json(alert)).expect("a message is always JSON");
    let listed = |(destination_id, alert_count)| DestinationView { destination_id, alert_count };
    DryRunView {
        complete: report.complete,
        record_count: report.records,
        back_to: report.back_to,
        alert_count: report.alerts_count,
        first_time: report.times.map(|(first, _)| first),
        last_time: report.times.map(|(_, last)| last),
        destination_count: report.destinations_count,
        destinations: report.destinations.into_iter().map(listed).collect(),
        alerts: report.alerts.iter().map(message).collect(),
    }
}
