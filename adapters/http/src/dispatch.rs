//! Which path and method does what: the whole table is here. New routes are a line in [`Route::find`],
//! [`Route::allow`], [`Route::counted`], [`Route::access`] and [`Route::call`] each.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use bytes::Buf;
use futures::Stream;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tallyhouse_pipeline::Topic;
use tower::Service;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use crate::access::admission::{self, Access};
use crate::access::keys::{Holder, Scope};
use crate::access::rate_limit::{Caller, Meter};
use crate::answer::problem::Problem;
use crate::app::state::App;
use crate::connection::middleware::RequestContext;
use crate::managing::{alert_rules, dead_letters, dry_run};
use crate::observe::request_meter::Counted;
use crate::openapi;
use crate::reading::{aggregates, export, messages, records, summaries};
use crate::request::body::RequestBody;
use crate::request::media::{self, Media};
use crate::request::parameters::decode;
use crate::service::pages::Asset;
use crate::service::{health, metrics, pages};
use crate::writing::{batch, ndjson};

/// Makes the routes.
///
/// warp takes the requests apart and puts the answers together. Its own matching turns "no such method here" and "no
/// such path" into one another as filters are tried in turn, and splits paths without decoding them; so the table is
/// ours.
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
    let mut call = Call { app, context, method, query, headers, body: Some(body), meter: None, route: None };
    let mut response = match call.answer(path.as_str()).await {
        Ok(response) if call.method == Method::HEAD => without_body(response),
        Ok(response) => response,
        Err(problem) => {
            problem.log(&call.context);
            call.body.take().into_iter().for_each(RequestBody::linger);
            problem.into_response()
        }
    };
    if let Some(meter) = &call.meter {
        meter.dress(response.headers_mut());
    }
    if let Some(route) = call.route {
        response.extensions_mut().insert(route);
    }
    response
}

/// A request, taken apart.
struct Call {
    app: Arc<App>,
    context: RequestContext,
    method: Method,
    query: String,
    headers: HeaderMap,
    /// Gone once a route has taken it over.
    body: Option<RequestBody>,
    /// What its caller has left, where that is limited.
    meter: Option<Meter>,
    /// Under which name it is counted.
    route: Option<Counted>,
}

/// The paths that there are, with the names of their parts, as requests are counted by them; the last is for all
/// others.
pub(crate) const TEMPLATES: [&str; 24] = [
    "/v1/records",
    "/v1/records/batch",
    "/v1/records/{recordId}",
    "/v1/aggregates",
    "/v1/export",
    "/v1/summaries/{destinationId}",
    "/v1/notifications",
    "/v1/alerts",
    "/v1/notifications/stream",
    "/v1/alerts/stream",
    "/v1/dead-letters",
    "/v1/dead-letters/{id}",
    "/v1/dead-letters/{id}/replay",
    "/v1/alert-rules",
    "/v1/alert-rules/{name}",
    "/v1/alert-rules/{name}/dry-run",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "/assets/{name}",
    "none",
];

/// What there is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Records,
    /// A record, by its decoded id. The one named `batch` shares its path with the batch.
    Record(String),
    Aggregates,
    Export,
    Summaries(String),
    Messages(Topic),
    Follow(Topic),
    DeadLetters,
    DeadLetter(String),
    Replay(String),
    AlertRules,
    AlertRule(String),
    DryRun(String),
    Healthz,
    Readyz,
    OpenApi,
    Docs,
    Metrics,
    Dashboard,
    Asset(&'static Asset),
}

impl Route {
    /// Finds the route of a path. Its parts are percent-decoded one by one, so that a part may hold a slash.
    fn find(path: &str) -> Result<Self, Problem> {
        if path == "/v1/records" {
            return Ok(Self::Records);
        }
        let parts: Vec<String> = path
            .split('/')
            .map(|part| decode(part, false).map_err(|reason| Problem::parameter(part, reason)))
            .collect::<Result<_, _>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.get(1..).unwrap_or_default() {
            ["v1", "records"] => Ok(Self::Records),
            ["v1", "records", id] if !id.is_empty() => Ok(Self::Record((*id).to_owned())),
            ["v1", "aggregates"] => Ok(Self::Aggregates),
            ["v1", "export"] => Ok(Self::Export),
            ["v1", "summaries", destination] if !destination.is_empty() => {
                Ok(Self::Summaries((*destination).to_owned()))
            }
            ["v1", "notifications"] => Ok(Self::Messages(Topic::Notifications)),
            ["v1", "alerts"] => Ok(Self::Messages(Topic::Alerts)),
            ["v1", "notifications", "stream"] => Ok(Self::Follow(Topic::Notifications)),
            ["v1", "alerts", "stream"] => Ok(Self::Follow(Topic::Alerts)),
            ["v1", "dead-letters"] => Ok(Self::DeadLetters),
            ["v1", "dead-letters", id] if !id.is_empty() => Ok(Self::DeadLetter((*id).to_owned())),
            ["v1", "dead-letters", id, "replay"] if !id.is_empty() => Ok(Self::Replay((*id).to_owned())),
            ["v1", "alert-rules"] => Ok(Self::AlertRules),
            ["v1", "alert-rules", name] if !name.is_empty() => Ok(Self::AlertRule((*name).to_owned())),
            ["v1", "alert-rules", name, "dry-run"] if !name.is_empty() => Ok(Self::DryRun((*name).to_owned())),
            ["healthz"] => Ok(Self::Healthz),
            ["readyz"] => Ok(Self::Readyz),
            ["openapi.json"] => Ok(Self::OpenApi),
            ["docs"] => Ok(Self::Docs),
            ["metrics"] => Ok(Self::Metrics),
            [""] => Ok(Self::Dashboard),
            ["assets", name @ ..] => Asset::find(name).map(Self::Asset).ok_or_else(Problem::not_found),
            _ => Err(Problem::not_found()),
        }
    }

    /// The methods of the route. Whatever is read can be asked for by `HEAD` too.
    fn allow(&self) -> &'static str {
        match self {
            Self::Records => "GET, HEAD, POST, OPTIONS",
            Self::Record(id) if id == "batch" => "GET, HEAD, POST, OPTIONS",
            Self::DeadLetter(_) => "DELETE, OPTIONS",
            Self::Replay(_) | Self::DryRun(_) => "POST, OPTIONS",
            Self::AlertRule(_) => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Record(_)
            | Self::Aggregates
            | Self::Export
            | Self::Summaries(_)
            | Self::Messages(_)
            | Self::Follow(_)
            | Self::DeadLetters
            | Self::AlertRules
            | Self::Healthz
            | Self::Readyz
            | Self::OpenApi
            | Self::Docs
            | Self::Metrics
            | Self::Dashboard
            | Self::Asset(_) => "GET, HEAD, OPTIONS",
        }
    }

    /// Says under which of the [`TEMPLATES`] it is counted.
    fn counted(&self) -> Counted {
        Counted(match self {
            Self::Records => 0,
            Self::Record(id) if id == "batch" => 1,
            Self::Record(_) => 2,
            Self::Aggregates => 3,
            Self::Export => 4,
            Self::Summaries(_) => 5,
            Self::Messages(Topic::Notifications) => 6,
            Self::Messages(Topic::Alerts) => 7,
            Self::Follow(Topic::Notifications) => 8,
            Self::Follow(Topic::Alerts) => 9,
            Self::DeadLetters => 10,
            Self::DeadLetter(_) => 11,
            Self::Replay(_) => 12,
            Self::AlertRules => 13,
            Self::AlertRule(_) => 14,
            Self::DryRun(_) => 15,
            Self::Healthz => 16,
            Self::Readyz => 17,
            Self::Metrics => 18,
            Self::OpenApi => 19,
            Self::Docs => 20,
            Self::Dashboard => 21,
            Self::Asset(_) => 22,
        })
    }

    /// Says what the call asks of its caller.
    fn access(&self, method: &Method) -> Access {
        let is_there = self.allow().split(", ").any(|allowed| allowed == method.as_str());
        match self {
            Self::Healthz | Self::Readyz | Self::OpenApi | Self::Docs | Self::Dashboard | Self::Asset(_) => {
                Access::Open
            }
            _ if !is_there || method == Method::OPTIONS => Access::AnyKey,
            Self::DeadLetters | Self::DeadLetter(_) | Self::Replay(_) => Access::Needs(Scope::Admin),
            Self::AlertRules | Self::AlertRule(_) | Self::DryRun(_) => Access::Needs(Scope::Admin),
            Self::Records | Self::Record(_) if method == Method::POST => Access::Needs(Scope::Ingest),
            Self::Records
            | Self::Record(_)
            | Self::Aggregates
            | Self::Export
            | Self::Summaries(_)
            | Self::Messages(_)
            | Self::Follow(_)
            | Self::Metrics => Access::Needs(Scope::Read),
        }
    }

    async fn call(self, call: &mut Call) -> Result<Response, Problem> {
        let (reads, posts) = (matches!(call.method, Method::GET | Method::HEAD), call.method == Method::POST);
        let (app, query, headers) = (&call.app, call.query.as_str(), &call.headers);
        match &self {
            Self::Records if posts => match &mut call.body {
                Some(body) => records::write(app, query, headers, body).await,
                None => Err(Problem::internal()),
            },
            Self::Record(id) if posts && id == "batch" => call.batch().await,
            Self::Replay(id) if posts => dead_letters::replay(app, query, headers, id).await,
            Self::DeadLetter(id) if call.method == Method::DELETE => dead_letters::remove(app, query, id).await,
            Self::AlertRule(name) if call.method == Method::PUT => match &mut call.body {
                Some(body) => alert_rules::put(app, query, headers, body, name).await,
                None => Err(Problem::internal()),
            },
            Self::AlertRule(name) if call.method == Method::DELETE => {
                alert_rules::remove(app, query, headers, name).await
            }
            Self::DryRun(name) if posts => match &mut call.body {
                Some(body) => dry_run::try_rule(app, query, headers, body, &call.context, name).await,
                None => Err(Problem::internal()),
            },
            Self::AlertRules if reads => alert_rules::list(app, query).await,
            Self::AlertRule(name) if reads => alert_rules::read(app, query, name).await,
            Self::Records if reads => records::read_page(app, query, headers).await,
            Self::Record(id) if reads => records::read_one(app, query, headers, id).await,
            Self::Aggregates if reads => aggregates::read(app, query, headers, &call.context).await,
            Self::Export if reads => export::read(app, query, headers, &call.context).await,
            Self::Summaries(destination) if reads => summaries::read(app, query, headers, destination).await,
            Self::Messages(topic) if reads => messages::read_page(app, query, headers, *topic).await,
            Self::Follow(topic) if reads => messages::follow(app, query, headers, &call.context, *topic).await,
            Self::DeadLetters if reads => dead_letters::list(app, query).await,
            Self::Healthz if reads => Ok(health::alive()),
            Self::Readyz if reads => Ok(health::ready(app).await),
            Self::OpenApi if reads => Ok(openapi::read(headers)),
            Self::Docs if reads => Ok(pages::reference(headers)),
            Self::Metrics if reads => metrics::read(app, query).await,
            Self::Dashboard if reads => Ok(pages::page(headers)),
            Self::Asset(asset) if reads => Ok(asset.answer(headers)),
            _ if call.method == Method::OPTIONS => Ok(options(self.allow())),
            _ => Err(Problem::method_not_allowed(self.allow())),
        }
    }
}

impl Call {
    async fn answer(&mut self, path: &str) -> Result<Response, Problem> {
        let route = Route::find(path);
        self.route = route.as_ref().ok().map(Route::counted);
        // Who may not call hears nothing of the path.
        let access = route.as_ref().map_or(Access::AnyKey, |route| route.access(&self.method));
        let holder = admission::admit(&self.app, access, &self.method, &self.headers, &self.context)?;
        if access != Access::Open {
            self.try_acquire(holder, route.as_ref().is_ok_and(|route| self.flows(route)))?;
        }
        route?.call(self).await
    }

    /// Draws the unit of the call from what its caller has left. Lines are drawn as they come.
    fn try_acquire(&mut self, holder: Option<Holder>, flows: bool) -> Result<(), Problem> {
        let Some(limits) = &self.app.limits else { return Ok(()) };
        let by_address = || Caller::at(self.context.connection.peer.ip());
        let meter = Meter::new(limits, holder.map_or_else(by_address, |holder| Caller::Key(holder.name)));
        let drawn = if flows { Ok(()) } else { meter.acquire_one() };
        self.meter = Some(meter);
        drawn
    }

    /// Says whether the body is taken line by line.
    fn flows(&self, route: &Route) -> bool {
        let is_batch = matches!(route, Route::Record(id) if id == "batch") && self.method == Method::POST;
        is_batch && matches!(media::of_body(&self.headers), Ok(Some(Media::Ndjson)))
    }

    async fn batch(&mut self) -> Result<Response, Problem> {
        let failed_only = batch::failed_only(&self.query)?;
        match media::of_body(&self.headers)? {
            Some(Media::Json) => match &mut self.body {
                Some(body) => batch::write(&self.app, failed_only, &self.headers, body, self.meter.as_ref()).await,
                None => Err(Problem::internal()),
            },
            Some(Media::Ndjson) => match self.body.take() {
                Some(body) => {
                    let meter = self.meter.clone();
                    Ok(ndjson::write(&self.app, failed_only, &self.headers, body, &self.context, meter).await)
                }
                None => Err(Problem::internal()),
            },
            None => Err(media::unsupported(
                "A batch must say what it is: application/json for an array, application/x-ndjson for lines.",
            )),
        }
    }
}

/// Says what a call asks of its caller, by the path of the call with the names of its parts in braces.
pub(crate) fn access_to(template: &str, method: &Method) -> Access {
    let route = Route::find(&template.replace(['{', '}'], ""));
    route.map_or(Access::AnyKey, |route| route.access(method))
}

/// Returns the methods of a path with the names of its parts in braces.
#[cfg(test)]
pub(crate) fn allowed_at(template: &str) -> &'static str {
    Route::find(&template.replace(['{', '}'], "")).map_or("", |route| route.allow())
}

fn options(allow: &'static str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Keeps the head of an answer alone. Dropping the body of a streamed one ends the work behind it.
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

#[cfg(test)]
mod tests;
