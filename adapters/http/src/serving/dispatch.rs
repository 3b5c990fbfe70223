//! From a request to its handler: finds the route, admits the caller, takes from its rate limit, and calls the
//! endpoint.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use bytes::Buf;
use futures::Stream;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tower::Service;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use crate::access::admission::{self, Access, Admitted};
use crate::access::rate_limit::Meter;
use crate::app::state::App;
use crate::bounds::caller::Caller;
use crate::endpoints::managing::{alert_rules, dead_letters, dry_run};
use crate::endpoints::reading::{aggregates, export, messages, records, summaries};
use crate::endpoints::writing::batch::{self, Elements};
use crate::endpoints::writing::{ndjson, record};
use crate::exchange::context::RequestContext;
use crate::exchange::observe::request_meter::RouteIndex;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::media::{self, Media};
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::routes::matching::{self, Match};
use crate::routes::table::{ASSETS, Endpoint};
use crate::service::pages::{self, Asset};
use crate::service::{health, metrics, openapi_document, rates};

/// Makes the service that answers requests.
///
/// warp takes the requests apart and puts the responses together. Its own matching turns "no such method here" and "no
/// such path" into one another as filters are tried in turn, and splits paths without decoding them; so the table of
/// routes replaces it.
pub(crate) fn service<B>(
    app: Arc<App>,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Sync + 'static,
{
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let routes = warp::any()
        .map(move || Arc::clone(&app))
        .and(warp::ext::get::<RequestContext>())
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(answer);
    warp::service(routes)
}

async fn answer<B: Buf>(
    app: Arc<App>,
    context: RequestContext,
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
) -> Response {
    let body = RequestBody::new(body, &headers);
    let mut call = Call { app, context, method, query, headers, body, meter: None, route: None };
    let mut response = match call.answer(path.as_str()).await {
        Ok(response) if call.method == Method::HEAD => without_body(response),
        Ok(response) => response,
        Err(problem) => {
            problem.log(&call.context);
            call.body.linger();
            problem.into_response()
        }
    };
    if let Some(meter) = &call.meter {
        meter.set_headers(response.headers_mut());
    }
    if let Some(route) = call.route {
        response.extensions_mut().insert(route);
    }
    response.extensions_mut().insert(call.context.caller);
    response
}

/// A request, split into its parts.
struct Call {
    app: Arc<App>,
    context: RequestContext,
    method: Method,
    query: String,
    headers: HeaderMap,
    body: RequestBody,
    /// The caller's rate limit, if there is one.
    meter: Option<Meter>,
    /// The route under which the metrics count the request.
    route: Option<RouteIndex>,
}

impl Call {
    async fn answer(&mut self, path: &str) -> Result<Response, Problem> {
        let found = find(path);
        // The paths that exist are no secret: `/openapi.json` lists them.
        if matches!(&found, Err(problem) if problem.is_not_found()) && pages::is_visit(&self.method, &self.headers) {
            return Ok(pages::unknown(path));
        }
        self.route = found.as_ref().ok().map(|found| RouteIndex(found.index));
        // A caller without a key must not learn which paths exist.
        let access = found.as_ref().map_or(Access::AnyKey, |found| found.route.access(&self.method));
        let endpoint = found.as_ref().ok().and_then(|found| found.route.call(&self.method)).map(|call| call.endpoint);
        if !matches!(endpoint, Some(Endpoint::Healthz | Endpoint::Readyz)) {
            let has_permit = self.context.connection.permit.wait().await;
            has_permit.then_some(()).ok_or_else(no_permit)?;
        }
        let keys = self.app.http.keys.as_deref();
        let hosts = self.app.hosts.as_deref();
        let admitted = admission::admit(keys, hosts, access, &self.method, &self.headers, &self.context)?;
        if let Some(Admitted { holder, grant }) = admitted {
            self.context.caller = Caller::Key(holder.name);
            self.context.grant = Some(grant);
        }
        if access != Access::Open {
            self.try_acquire(endpoint)?;
        }
        let Match { route, variable, .. } = found?;
        match route.call(&self.method) {
            Some(call) => {
                self.body.limit(call.body.limits(&self.app.settings), self.context.grant.clone());
                self.run(call.endpoint, &variable).await
            }
            None if self.method == Method::OPTIONS => Ok(options(route.allow())),
            None => Err(Problem::method_not_allowed(route.allow())),
        }
    }

    /// Takes the unit of the call from its caller's rate limit. A call with NDJSON takes units as its lines come, and
    /// waits for them.
    fn try_acquire(&mut self, endpoint: Option<Endpoint>) -> Result<(), Problem> {
        let Some(limits) = &self.app.limits else { return Ok(()) };
        let meter = Meter::new(limits, self.context.caller.clone());
        let is_stream =
            endpoint == Some(Endpoint::WriteBatch) && matches!(media::of_body(&self.headers), Ok(Some(Media::Ndjson)));
        let acquired = if is_stream { Ok(()) } else { meter.acquire_one() };
        self.meter = Some(meter);
        acquired
    }

    async fn run(&mut self, endpoint: Endpoint, variable: &str) -> Result<Response, Problem> {
        let Self { app, context, query, headers, body, .. } = self;
        let grant = context.grant.as_ref();
        match endpoint {
            Endpoint::WriteRecord => record::write(app, query, headers, body, grant).await,
            Endpoint::ListRecords => records::read_page(app, query, headers, context).await,
            Endpoint::WriteBatch => self.write_batch().await,
            Endpoint::ReadRecordNamedBatch => records::read_one(app, query, headers, context, "batch").await,
            Endpoint::ReadRecord => records::read_one(app, query, headers, context, variable).await,
            Endpoint::ReadAggregates => aggregates::read(app, query, headers, context).await,
            Endpoint::Export => export::read(app, query, headers, context).await,
            Endpoint::ReadSummaries => summaries::read(app, query, headers, context, variable).await,
            Endpoint::ReadMessages(topic) => messages::read_page(app, query, headers, context, topic).await,
            Endpoint::FollowMessages(topic) => messages::follow(app, query, headers, context, topic).await,
            Endpoint::ListDeadLetters => dead_letters::list(app, query).await,
            Endpoint::DeleteDeadLetter => dead_letters::remove(app, query, variable).await,
            Endpoint::ReplayDeadLetter => dead_letters::replay(app, query, headers, grant, variable).await,
            Endpoint::ListAlertRules => alert_rules::list(app, query).await,
            Endpoint::ReadAlertRule => alert_rules::read(app, query, variable).await,
            Endpoint::PutAlertRule => alert_rules::put(app, query, headers, body, variable).await,
            Endpoint::DeleteAlertRule => alert_rules::remove(app, query, headers, variable).await,
            Endpoint::DryRunAlertRule => dry_run::try_rule(app, query, headers, body, context, variable).await,
            Endpoint::Healthz => Ok(health::alive()),
            Endpoint::Readyz => Ok(health::ready(app).await),
            Endpoint::Metrics => metrics::read(app, query).await,
            Endpoint::Rates => rates::read(app, query),
            Endpoint::OpenApi => Ok(openapi_document::read(headers)),
            Endpoint::Docs => Ok(pages::reference(headers)),
            Endpoint::Dashboard => Ok(pages::page(headers)),
            Endpoint::Asset => Asset::find(variable).map(|asset| asset.answer(headers)).ok_or_else(Problem::not_found),
        }
    }

    async fn write_batch(&mut self) -> Result<Response, Problem> {
        let Self { app, context, query, headers, body, meter, .. } = self;
        let failed_only = batch::failed_only(query)?;
        match media::of_body(headers)? {
            Some(Media::Json) => {
                batch::write(app, Elements::Records, failed_only, headers, body, context, meter.as_ref()).await
            }
            Some(Media::CloudEvents) => {
                batch::write(app, Elements::Events, failed_only, headers, body, context, meter.as_ref()).await
            }
            Some(Media::Ndjson) => {
                Ok(ndjson::write(app, failed_only, headers, body.take(), context, meter.clone()).await)
            }
            None | Some(Media::CloudEvent) => Err(media::unsupported(
                "A batch is application/json or application/cloudevents-batch+json, an array, or application/x-ndjson, lines.",
            )),
        }
    }
}

/// Finds the route of a path. A missing asset has no route, so that it is refused like any unknown path.
fn find(path: &str) -> Result<Match<'_>, Problem> {
    let found = matching::find(path)?;
    let is_missing = found.route.path == ASSETS && Asset::find(&found.variable).is_none();
    if is_missing { Err(Problem::not_found()) } else { Ok(found) }
}

fn no_permit() -> Problem {
    let detail = "As many connections are open as there is room for; repeat the request later.";
    Problem::new(ProblemCode::Overloaded, detail)
}

fn options(allow: String) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::try_from(allow).expect("methods are fit for a header"));
    response
}

/// Keeps only the head of a response. Dropping a streamed body ends the work that writes it.
fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    let mut response = StatusCode::OK.into_response();
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
