//! The table of routes. Matching, `405` with `Allow`, scopes, body limits, the route names of the metrics and the paths
//! of the OpenAPI document all derive from it. A new route is a line here and an [`Endpoint`]; the compiler then asks
//! for its handler and its description.

use hyper::Method;
use tallyhouse_pipeline::Topic;

use crate::access::admission::Access;
use crate::exchange::request::body::BodyLimits;
use crate::keys::Scope;
use crate::settings::HttpSettings;

/// Largest body of an alert rule, in bytes: all texts at their longest, with every character escaped.
const RULE_BYTES_MAX: usize = 16 * 1024;

/// A path and its calls. `HEAD` follows from `GET`, and every path takes `OPTIONS`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The path, with the name of its variable segment in braces. Also the route's name in the metrics.
    pub(crate) path: &'static str,
    pub(crate) calls: &'static [Call],
}

/// One method of a route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    pub(crate) access: Access,
    pub(crate) body: BodyKind,
}

/// The handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    WriteRecord,
    ListRecords,
    WriteBatch,
    /// The record whose id is `batch` shares its path with the batches.
    ReadRecordNamedBatch,
    ReadRecord,
    ReadAggregates,
    Export,
    ReadSummaries,
    ReadMessages(Topic),
    FollowMessages(Topic),
    ListDeadLetters,
    DeleteDeadLetter,
    ReplayDeadLetter,
    ListAlertRules,
    ReadAlertRule,
    PutAlertRule,
    DeleteAlertRule,
    DryRunAlertRule,
    Healthz,
    Readyz,
    Metrics,
    Rates,
    OpenApi,
    Docs,
    Dashboard,
    Asset,
}

/// The kind of body that a call reads, which decides its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    None,
    Record,
    /// A JSON array, read as a whole, or any number of lines.
    Batch,
    AlertRule,
}

impl BodyKind {
    /// Returns the limits of a body that is read as a whole.
    pub(crate) fn limits(self, settings: &HttpSettings) -> BodyLimits {
        let bytes_max = match self {
            Self::None => 0,
            Self::Record => settings.record_bytes_max,
            Self::Batch => settings.batch_bytes_max,
            Self::AlertRule => RULE_BYTES_MAX,
        };
        BodyLimits { bytes_max, min_rate: settings.body_min_rate(), timeout: settings.body_timeout }
    }
}

/// The variable segment of the assets' path takes all the segments that are left.
pub(crate) const ASSETS: &str = "/assets/{name}";

/// All routes. Where two match a path, the first one wins.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        path: "/v1/records",
        calls: &[get(Endpoint::ListRecords, Scope::Read), post(Endpoint::WriteRecord, Scope::Ingest, BodyKind::Record)],
    },
    Route {
        path: "/v1/records/batch",
        calls: &[
            get(Endpoint::ReadRecordNamedBatch, Scope::Read),
            post(Endpoint::WriteBatch, Scope::Ingest, BodyKind::Batch),
        ],
    },
    Route { path: "/v1/records/{recordId}", calls: &[get(Endpoint::ReadRecord, Scope::Read)] },
    Route { path: "/v1/aggregates", calls: &[get(Endpoint::ReadAggregates, Scope::Read)] },
    Route { path: "/v1/export", calls: &[get(Endpoint::Export, Scope::Read)] },
    Route { path: "/v1/summaries/{destinationId}", calls: &[get(Endpoint::ReadSummaries, Scope::Read)] },
    Route { path: "/v1/notifications", calls: &[get(Endpoint::ReadMessages(Topic::Notifications), Scope::Read)] },
    Route { path: "/v1/alerts", calls: &[get(Endpoint::ReadMessages(Topic::Alerts), Scope::Read)] },
    Route {
        path: "/v1/notifications/stream",
        calls: &[get(Endpoint::FollowMessages(Topic::Notifications), Scope::Read)],
    },
    Route { path: "/v1/alerts/stream", calls: &[get(Endpoint::FollowMessages(Topic::Alerts), Scope::Read)] },
    Route { path: "/v1/dead-letters", calls: &[get(Endpoint::ListDeadLetters, Scope::Admin)] },
    Route { path: "/v1/dead-letters/{id}", calls: &[delete(Endpoint::DeleteDeadLetter, Scope::Admin)] },
    Route {
        path: "/v1/dead-letters/{id}/replay",
        calls: &[post(Endpoint::ReplayDeadLetter, Scope::Admin, BodyKind::None)],
    },
    Route { path: "/v1/alert-rules", calls: &[get(Endpoint::ListAlertRules, Scope::Admin)] },
    Route {
        path: "/v1/alert-rules/{name}",
        calls: &[
            get(Endpoint::ReadAlertRule, Scope::Admin),
            put(Endpoint::PutAlertRule, Scope::Admin, BodyKind::AlertRule),
            delete(Endpoint::DeleteAlertRule, Scope::Admin),
        ],
    },
    Route {
        path: "/v1/alert-rules/{name}/dry-run",
        calls: &[post(Endpoint::DryRunAlertRule, Scope::Admin, BodyKind::AlertRule)],
    },
    Route { path: "/healthz", calls: &[open(Endpoint::Healthz)] },
    Route { path: "/readyz", calls: &[open(Endpoint::Readyz)] },
    Route { path: "/v1/rates", calls: &[get(Endpoint::Rates, Scope::Read)] },
    Route { path: "/metrics", calls: &[get(Endpoint::Metrics, Scope::Read)] },
    Route { path: "/openapi.json", calls: &[open(Endpoint::OpenApi)] },
    Route { path: "/docs", calls: &[open(Endpoint::Docs)] },
    Route { path: "/", calls: &[open(Endpoint::Dashboard)] },
    Route { path: ASSETS, calls: &[open(Endpoint::Asset)] },
];

const fn open(endpoint: Endpoint) -> Call {
    Call { method: Method::GET, endpoint, access: Access::Open, body: BodyKind::None }
}

const fn get(endpoint: Endpoint, scope: Scope) -> Call {
    Call { method: Method::GET, endpoint, access: Access::Needs(scope), body: BodyKind::None }
}

const fn post(endpoint: Endpoint, scope: Scope, body: BodyKind) -> Call {
    Call { method: Method::POST, endpoint, access: Access::Needs(scope), body }
}

const fn put(endpoint: Endpoint, scope: Scope, body: BodyKind) -> Call {
    Call { method: Method::PUT, endpoint, access: Access::Needs(scope), body }
}

const fn delete(endpoint: Endpoint, scope: Scope) -> Call {
    Call { method: Method::DELETE, endpoint, access: Access::Needs(scope), body: BodyKind::None }
}

impl Route {
    /// Returns the call of a method; `HEAD` is `GET` without the body.
    pub(crate) fn call(&self, method: &Method) -> Option<&'static Call> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.calls.iter().find(|call| call.method == method)
    }

    /// Returns the methods, as `Allow` lists them.
    pub(crate) fn allow(&self) -> String {
        let mut allow = String::new();
        for call in self.calls {
            allow.push_str(call.method.as_str());
            allow.push_str(if call.method == Method::GET { ", HEAD, " } else { ", " });
        }
        allow + Method::OPTIONS.as_str()
    }

    /// Returns the access that a method requires. Methods that the path does not take require a key, too, unless the
    /// path is open.
    pub(crate) fn access(&self, method: &Method) -> Access {
        match self.call(method) {
            Some(call) => call.access,
            None if self.calls.iter().all(|call| call.access == Access::Open) => Access::Open,
            None => Access::AnyKey,
        }
    }
}

#[cfg(test)]
mod tests;
