//! Which path and method does what: the whole table is here. New routes are a line in [`Route::find`],
//! [`Route::allow`], [`Route::access`] and [`Route::call`] each.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use bytes::Buf;
use futures::Stream;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tallyhouse_core::Topic;
use tower::Service;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use crate::access::{self, Access};
use crate::app::App;
use crate::body::RequestBody;
use crate::front::RequestContext;
use crate::keys::{Holder, Scope};
use crate::limits::{Caller, Meter};
use crate::media::{self, Media};
use crate::parameters::decode;
use crate::problem::Problem;
use crate::{aggregates, batch, dead_letters, health, messages, ndjson, records, summaries};

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
    let mut call = Call { app, context, method, query, headers, body: Some(body), meter: None };
    let mut response = match call.answer(path.as_str()).await {
        Ok(response) if call.method == Method::HEAD => without_body(response),
        Ok(response) => response,
        Err(problem) => {
            problem.log(call.context.request_id());
            call.body.take().into_iter().for_each(RequestBody::linger);
            problem.into_response()
        }
    };
    if let Some(meter) = &call.meter {
        meter.dress(response.headers_mut());
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
}

/// What there is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Records,
    /// A record, by its decoded id. The one named `batch` shares its path with the batch.
    Record(String),
    Aggregates,
    Summaries(String),
    Messages(Topic),
    Follow(Topic),
    DeadLetters,
    DeadLetter(String),
    Replay(String),
    Healthz,
    Readyz,
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
            ["healthz"] => Ok(Self::Healthz),
            ["readyz"] => Ok(Self::Readyz),
            _ => Err(Problem::not_found()),
        }
    }

    /// The methods of the route. Whatever is read can be asked for by `HEAD` too.
    fn allow(&self) -> &'static str {
        match self {
            Self::Records => "GET, HEAD, POST, OPTIONS",
            Self::Record(id) if id == "batch" => "GET, HEAD, POST, OPTIONS",
            Self::DeadLetter(_) => "DELETE, OPTIONS",
            Self::Replay(_) => "POST, OPTIONS",
            Self::Record(_)
            | Self::Aggregates
            | Self::Summaries(_)
            | Self::Messages(_)
            | Self::Follow(_)
            | Self::DeadLetters
            | Self::Healthz
            | Self::Readyz => "GET, HEAD, OPTIONS",
        }
    }

    /// Says what the call asks of its caller.
    fn access(&self, method: &Method) -> Access {
        let is_there = self.allow().split(", ").any(|allowed| allowed == method.as_str());
        match self {
            Self::Healthz | Self::Readyz => Access::Open,
            _ if !is_there || method == Method::OPTIONS => Access::AnyKey,
            Self::DeadLetters | Self::DeadLetter(_) | Self::Replay(_) => Access::Needs(Scope::Admin),
            Self::Records | Self::Record(_) if method == Method::POST => Access::Needs(Scope::Ingest),
            Self::Records
            | Self::Record(_)
            | Self::Aggregates
            | Self::Summaries(_)
            | Self::Messages(_)
            | Self::Follow(_) => Access::Needs(Scope::Read),
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
            Self::Replay(id) if posts => dead_letters::replay(app, query, id).await,
            Self::DeadLetter(id) if call.method == Method::DELETE => dead_letters::remove(app, query, id).await,
            Self::Records if reads => records::read_page(app, query).await,
            Self::Record(id) if reads => records::read_one(app, query, id).await,
            Self::Aggregates if reads => aggregates::read(app, query, headers, &call.context).await,
            Self::Summaries(destination) if reads => summaries::read(app, query, destination).await,
            Self::Messages(topic) if reads => messages::read_page(app, query, *topic).await,
            Self::Follow(topic) if reads => messages::follow(app, query, headers, &call.context, *topic).await,
            Self::DeadLetters if reads => dead_letters::list(app, query).await,
            Self::Healthz if reads => Ok(health::alive()),
            Self::Readyz if reads => Ok(health::ready(app).await),
            _ if call.method == Method::OPTIONS => Ok(options(self.allow())),
            _ => Err(Problem::method_not_allowed(self.allow())),
        }
    }
}

impl Call {
    async fn answer(&mut self, path: &str) -> Result<Response, Problem> {
        let route = Route::find(path);
        // Who may not call hears nothing of the path.
        let access = route.as_ref().map_or(Access::AnyKey, |route| route.access(&self.method));
        let holder = access::admit(&self.app, access, &self.method, &self.headers, &self.context)?;
        if access != Access::Open {
            self.draw(holder, route.as_ref().is_ok_and(|route| self.flows(route)))?;
        }
        route?.call(self).await
    }

    /// Draws the unit of the call from what its caller has left. Lines are drawn as they come.
    fn draw(&mut self, holder: Option<Holder>, flows: bool) -> Result<(), Problem> {
        let Some(limits) = &self.app.limits else { return Ok(()) };
        let by_address = || Caller::at(self.context.connection.peer.ip());
        let meter = Meter::new(limits, holder.map_or_else(by_address, |holder| Caller::Key(holder.name)));
        let drawn = if flows { Ok(()) } else { meter.draw_one() };
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
